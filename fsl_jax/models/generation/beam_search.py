"""Beam search and beam sampling, as in transformers with `early_stopping=False`.

For each prompt the `K` best open beams are continued by every token. The best candidates that end
are kept among the `K` best finished beams. Finished beams are ranked by their log-probability
divided by their length to the power of the length penalty. A prompt is closed once its best open
beam, at its present length, ranks below the worst of `K` finished beams. Open beams at the limit
count as finished. With a temperature, the candidates are drawn by their probabilities instead of
taking the best.

A step has two halves, `propose` and `settle`. Between them the host can end candidates, for example
at stop strings. If it need not, `run` takes all steps in one loop.
"""

import dataclasses

import jax
import jax.numpy as jnp

from fsl_jax.models.blocks.row_params import AnyParams
from fsl_jax.models.generation.beam_candidates import (
    length_divisor,
    merge_finished,
    propose_candidates,
    take_per_prompt,
)
from fsl_jax.models.generation.beams import (
    LOWEST,
    LOWEST_VALID,
    BeamOptions,
    BeamState,
    Candidates,
    FinishedBeams,
)
from fsl_jax.models.generation.cache import allocate, take_rows
from fsl_jax.models.generation.cache import append as append_to_cache
from fsl_jax.models.generation.decode_loop import DecodeBatch, read_prompts, repeat_encoded
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.sampling import mark_seen


def start(
    reader: PromptReader,
    capacity: int,
    beams: int,
    params: AnyParams,
    batch: DecodeBatch,
    options: BeamOptions,
) -> tuple[BeamState, Candidates]:
    """Read the prompts and propose the first token of each beam.

    Args:
      reader: the model.
      capacity: the maximum number of tokens of a beam, `N`.
      beams: the number of beams, `K`.
      params: the parameter tree.
      batch: the prompts.
      options: of the search.

    Returns:
      The state before the first tokens, and the candidates for them.
    """
    read, logits, positions, seen = read_prompts(reader, params, batch, beams, options.sampling)
    prompts = len(batch.input_ids)
    tokens = jnp.zeros((prompts, beams, capacity), jnp.int32)
    # All beams of a prompt start out equal, so only the first one counts.
    scores = jnp.tile(jnp.where(jnp.arange(beams) == 0, 0.0, LOWEST)[None], (prompts, 1))
    none = jnp.zeros((prompts, beams), bool)
    slots = reader.decoder_length(params, batch.input_ids, batch.prefix) + capacity - 1
    window = reader.cache_window(params, batch.prefix)
    lengths = jnp.zeros((prompts, beams), jnp.int32)
    state = BeamState(
        cache=allocate(read.key_values, slots, beams, window),
        encoded=repeat_encoded(read.encoded, beams),
        positions=positions,
        seen=seen,
        tokens=tokens,
        scores=scores.astype(jnp.float32),
        finished=FinishedBeams(tokens, jnp.full_like(scores, LOWEST), lengths, none, none),
        improvable=~batch.idle,
        step=jnp.int32(0),
    )
    return state, propose_candidates(state, logits, batch, options)


def run(
    reader: PromptReader,
    params: AnyParams,
    state: BeamState,
    candidates: Candidates,
    batch: DecodeBatch,
    options: BeamOptions,
) -> BeamState:
    """Search until no prompt can get a better beam, or the limit is reached.

    Args:
      reader: the model.
      params: the parameter tree.
      state: from `start`.
      candidates: from `start`.
      batch: the prompts.
      options: of the search.

    Returns:
      The last state, with the results in `finished`.
    """
    return jax.lax.while_loop(
        lambda state: (state.step < options.limit) & jnp.any(state.improvable),
        lambda state: settle(*propose(reader, params, state, batch, options), options),
        settle(state, candidates, options),
    )


def propose(
    reader: PromptReader,
    params: AnyParams,
    state: BeamState,
    batch: DecodeBatch,
    options: BeamOptions,
) -> tuple[BeamState, Candidates]:
    """Read the last token of each beam, and propose the next ones.

    Args:
      reader: the model.
      params: the parameter tree.
      state: from `settle`.
      batch: the prompts.
      options: of the search.

    Returns:
      The state with that token in its cache, and the candidates for the next one.
    """
    last = jax.lax.dynamic_index_in_dim(state.tokens, state.step - 1, axis=2, keepdims=False)
    logits, new = reader.step(params, last.reshape(-1), state.positions, state.cache, state.encoded)
    prompt = reader.decoder_length(params, batch.input_ids, batch.prefix)
    written = prompt + state.step - 1
    state = dataclasses.replace(state, cache=append_to_cache(state.cache, new, written))
    return state, propose_candidates(state, logits, batch, options)


def settle(state: BeamState, candidates: Candidates, options: BeamOptions) -> BeamState:
    """Keep the best candidates that have ended, and continue with the best open ones.

    Args:
      state: the state that the candidates were proposed from.
      candidates: from `start` or `propose`.
      options: of the search.

    Returns:
      The state with one more token in each beam.
    """
    prompts, beams = state.scores.shape
    step = state.step + 1
    ended = candidates.stopped | (step >= options.limit)
    lowered = jnp.where(ended, candidates.scores + LOWEST, candidates.scores)
    scores, order = jax.lax.top_k(lowered, beams)
    parents = take_per_prompt(candidates.parents, order)
    chosen = take_per_prompt(candidates.chosen, order)
    rows = (parents + jnp.arange(prompts, dtype=parents.dtype)[:, None] * beams).reshape(-1)
    finished = merge_finished(state, candidates, ended, options)
    possible = scores[:, 0] / length_divisor(step, options)
    worst = jnp.where(finished.filled, jnp.min(finished.scores, axis=1, keepdims=True), LOWEST)
    # If strings have ended all candidates, no beam is left to continue.
    continues = (scores[:, 0] > LOWEST_VALID) & jnp.any(possible[:, None] > worst, axis=1)
    return dataclasses.replace(
        state,
        cache=take_rows(state.cache, rows),
        positions=state.positions + 1,
        seen=None if state.seen is None else mark_seen(state.seen[rows], chosen.reshape(-1)),
        tokens=take_per_prompt(candidates.tokens, order),
        scores=scores,
        finished=finished,
        improvable=state.improvable & continues,
        step=step,
    )

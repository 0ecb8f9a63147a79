"""Beam search and beam sampling with the semantics of transformers, `early_stopping=False`.

Of each prompt the `K` best open beams are continued by every token. The best of these that end
are kept among the `K` best finished ones, ranked by their log-probability over their length to the
power of the length penalty. A prompt is closed once its best open beam, at its present length,
ranks below the worst of `K` finished ones; open beams at the limit count as finished. With a
temperature, what continues the beams is not the best but drawn, by how probable it is in all.

A step has two halves, `propose` and `settle`. Between them a host can say which of the candidates
end for reasons of its own; where it has none, `run` takes all steps in one loop.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.blocks.row_params import AnyParams
from fsl_jax.models.generation.beams import (
    HOPELESS,
    LOWEST,
    BeamOptions,
    BeamState,
    Candidates,
    Finished,
)
from fsl_jax.models.generation.cache import allocate, take_rows
from fsl_jax.models.generation.cache import append as append_to_cache
from fsl_jax.models.generation.decode_loop import Batch, is_end, repeat_encoded
from fsl_jax.models.generation.reader import Reader
from fsl_jax.models.generation.sampling import draw_several, mark_seen, process, seen_in


def start(
    reader: Reader, capacity: int, beams: int, params: AnyParams, batch: Batch, options: BeamOptions
) -> tuple[BeamState, Candidates]:
    """Reads the prompts and proposes the first token of each beam.

    Args:
      reader: the model.
      capacity: `N`, how many tokens a beam can get.
      beams: `K`.
      params: the parameter tree.
      batch: the prompts.
      options: of the search.

    Returns:
      The state before the first tokens, and what they could be.
    """
    read = reader.read(params, batch.input_ids, batch.mask)
    seen = None
    if options.sampling.repetition_penalty is not None:
        seen = seen_in(read.decoder_ids, read.decoder_mask, read.logits.shape[-1])
    logits, positions, seen = jax.tree.map(
        lambda leaf: jnp.repeat(leaf, beams, axis=0), (read.logits, read.positions, seen)
    )
    prompts = len(batch.input_ids)
    tokens = jnp.zeros((prompts, beams, capacity), jnp.int32)
    # All beams of a prompt begin alike: only the first one counts.
    scores = jnp.tile(jnp.where(jnp.arange(beams) == 0, 0.0, LOWEST)[None], (prompts, 1))
    none = jnp.zeros((prompts, beams), bool)
    slots = reader.decoder_length(params, batch.input_ids) + capacity - 1
    lengths = jnp.zeros((prompts, beams), jnp.int32)
    state = BeamState(
        cache=allocate(read.key_values, slots, beams, reader.cache_window(params)),
        encoded=repeat_encoded(read.encoded, beams),
        positions=positions,
        seen=seen,
        tokens=tokens,
        scores=scores.astype(jnp.float32),
        finished=Finished(tokens, jnp.full_like(scores, LOWEST), lengths, none, none),
        improvable=~batch.idle,
        step=jnp.int32(0),
    )
    return state, _candidates(state, logits, batch, options)


def run(
    reader: Reader,
    params: AnyParams,
    state: BeamState,
    candidates: Candidates,
    batch: Batch,
    options: BeamOptions,
) -> BeamState:
    """Goes on until nothing better is expected for any prompt, or the limit is reached.

    Args:
      reader: the model.
      params: the parameter tree.
      state: from `start`.
      candidates: from `start`.
      batch: the prompts.
      options: of the search.

    Returns:
      The last state, with what was found in `finished`.
    """
    return jax.lax.while_loop(
        lambda state: (state.step < options.limit) & jnp.any(state.improvable),
        lambda state: settle(*propose(reader, params, state, batch, options), options),
        settle(state, candidates, options),
    )


def propose(
    reader: Reader, params: AnyParams, state: BeamState, batch: Batch, options: BeamOptions
) -> tuple[BeamState, Candidates]:
    """Reads the last token of each beam, and proposes the next ones.

    Args:
      reader: the model.
      params: the parameter tree.
      state: from `settle`.
      batch: the prompts.
      options: of the search.

    Returns:
      The state with that token in its cache, and what the beams could become.
    """
    last = jax.lax.dynamic_index_in_dim(state.tokens, state.step - 1, axis=2, keepdims=False)
    logits, new = reader.step(params, last.reshape(-1), state.positions, state.cache, state.encoded)
    written = reader.decoder_length(params, batch.input_ids) + state.step - 1
    state = dataclasses.replace(state, cache=append_to_cache(state.cache, new, written))
    return state, _candidates(state, logits, batch, options)


def settle(state: BeamState, candidates: Candidates, options: BeamOptions) -> BeamState:
    """Keeps the best candidates that have ended, and goes on with the best that have not.

    Args:
      state: what the candidates were proposed from.
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
    parents, chosen = _take(candidates.parents, order), _take(candidates.chosen, order)
    rows = (parents + jnp.arange(prompts, dtype=parents.dtype)[:, None] * beams).reshape(-1)
    finished = _finish(state, candidates, ended, options)
    possible = scores[:, 0] / _length(step, options)
    worst = jnp.where(finished.filled, jnp.min(finished.scores, axis=1, keepdims=True), LOWEST)
    # Where strings have ended all candidates there is nothing to go on with.
    goes_on = (scores[:, 0] > HOPELESS) & jnp.any(possible[:, None] > worst, axis=1)
    return dataclasses.replace(
        state,
        cache=take_rows(state.cache, rows),
        positions=state.positions + 1,
        seen=None if state.seen is None else mark_seen(state.seen[rows], chosen.reshape(-1)),
        tokens=_take(candidates.tokens, order),
        scores=scores,
        finished=finished,
        improvable=state.improvable & goes_on,
        step=step,
    )


def _candidates(
    state: BeamState, logits: Float[Array, "R V"], batch: Batch, options: BeamOptions
) -> Candidates:
    """Continues every beam by one token: the best of all continuations, or some drawn of them."""
    prompts, beams = state.scores.shape
    # So many of a beam that K are left to continue when the others all end.
    each = min(max(2, 1 + batch.ends.shape[0]), logits.shape[1])
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    log_probs = process(log_probs, state.seen, options.sampling, at_least=each)
    totals = (log_probs.reshape(prompts, beams, -1) + state.scores[:, :, None]).reshape(prompts, -1)
    if options.sampling.temperature is None:
        scores, places = jax.lax.top_k(totals, each * beams)
    else:
        keys = batch.keys.reshape(prompts, beams)[:, 0]
        scores, places = draw_several(totals, each * beams, keys, state.step)
    parents, chosen = places // logits.shape[1], (places % logits.shape[1]).astype(jnp.int32)
    tokens = jax.lax.dynamic_update_slice(
        _take(state.tokens, parents), chosen[:, :, None], (0, 0, state.step)
    )
    return Candidates(tokens, chosen, scores, parents, is_end(chosen, batch.ends))


def _finish(
    state: BeamState, candidates: Candidates, ended: Bool[Array, "B M"], options: BeamOptions
) -> Finished:
    """Puts those that have ended among the best finished ones."""
    beams, scores = state.scores.shape[1], candidates.scores
    # The rest are there to be continued, not to be returned.
    among_best = (jnp.arange(scores.shape[1]) < beams)[None, :]
    counted = ended & among_best & (scores > HOPELESS)
    allowed = counted & state.improvable[:, None]
    ranked = scores / _length(state.step + 1, options)
    ranked = jnp.where(allowed, ranked, ranked + LOWEST)
    lengths = jnp.broadcast_to(state.step + 1, ranked.shape)
    new = Finished(candidates.tokens, ranked, lengths, candidates.stopped, counted)
    both = jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), state.finished, new)
    best = jax.lax.top_k(both.scores, beams)[1]
    return jax.tree.map(lambda leaf: _take(leaf, best), both)


def _length(tokens: Int[Array, ""], options: BeamOptions) -> Float[Array, ""]:
    return tokens.astype(jnp.float32) ** options.length_penalty


def _take(x: Array, places: Int[Array, "B M"]) -> Array:
    """Chooses along the second axis, of each prompt by its own places."""
    return jnp.take_along_axis(x, places.reshape(*places.shape, *[1] * (x.ndim - 2)), axis=1)

"""Beam search with the semantics of transformers, `early_stopping=False`.

Of each prompt the `K` best open beams are continued by every token. The best of these that end
are kept among the `K` best finished ones, ranked by their log-probability over their length to the
power of the length penalty. A prompt is closed once its best open beam, at its present length,
ranks below the worst of `K` finished ones; open beams at the limit count as finished.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.generation.cache import allocate, take_rows
from fsl_jax.models.generation.cache import append as append_to_cache
from fsl_jax.models.generation.decode_loop import Batch, is_end, repeat_encoded
from fsl_jax.models.generation.reader import Reader
from fsl_jax.models.generation.sampling import Sampling, mark_seen, process, seen_in
from fsl_jax.models.outputs import Params

# Lower than any score, and finite so that sums stay numbers.
_LOWEST = -1e9


@struct.dataclass
class Finished:
    """The `K` best finished continuations of each prompt, the best first.

    Attributes:
      tokens: int32 `[B, K, N]`.
      scores: log-probability over length to the power of the penalty, float32 `[B, K]`.
      lengths: tokens that count, the one that ended it among them, int32 `[B, K]`.
      stopped: bool `[B, K]`, True where a token ended it, False where the limit did.
      filled: bool `[B, K]`, False where none has finished yet.
    """

    tokens: Any
    scores: Any
    lengths: Any
    stopped: Any
    filled: Any


@struct.dataclass
class BeamState:
    """Where the search stands; `step` tokens of each beam have been chosen.

    Attributes:
      cache: of all tokens that were read, `[L, B * K, S, H_kv, Dh]`.
      encoded: of an encoder's tokens, or None.
      positions: of the last token of the beams, int32 `[B * K]`.
      seen: bool `[B * K, V]` for the repetition penalty, or None.
      tokens: of the open beams, int32 `[B, K, N]`.
      scores: log-probabilities of the open beams, float32 `[B, K]`.
      finished: those that have ended.
      improvable: bool `[B]`, False once nothing better is expected for a prompt.
      step: int32 `[]`.
    """

    cache: Any
    encoded: Any
    positions: Any
    seen: Any
    tokens: Any
    scores: Any
    finished: Any
    improvable: Any
    step: Any


@struct.dataclass
class BeamOptions:
    """What the search needs beside the model.

    Attributes:
      sampling: only its repetition penalty is applied, to log-probabilities as in transformers.
      length_penalty: float32 `[]`.
      limit: int32 `[]`, tokens of a continuation at most.
    """

    sampling: Sampling
    length_penalty: Any
    limit: Any


def start(
    reader: Reader, capacity: int, beams: int, params: Params, batch: Batch, options: BeamOptions
) -> BeamState:
    """Reads the prompts and chooses the first token of each beam.

    Args:
      reader: the model.
      capacity: `N`, how many tokens a beam can get.
      beams: `K`.
      params: the parameter tree.
      batch: the prompts.
      options: of the search.

    Returns:
      The state after the first tokens.
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
    scores = jnp.tile(jnp.where(jnp.arange(beams) == 0, 0.0, _LOWEST)[None], (prompts, 1))
    none = jnp.zeros((prompts, beams), bool)
    lengths = jnp.zeros((prompts, beams), jnp.int32)
    state = BeamState(
        cache=allocate(read.key_values, read.decoder_ids.shape[1] + capacity - 1, beams),
        encoded=repeat_encoded(read.encoded, beams),
        positions=positions,
        seen=seen,
        tokens=tokens,
        scores=scores.astype(jnp.float32),
        finished=Finished(tokens, jnp.full_like(scores, _LOWEST), lengths, none, none),
        improvable=~batch.idle,
        step=jnp.int32(0),
    )
    return _advance(state, logits, batch, options)[0]


def run(
    reader: Reader, params: Params, state: BeamState, batch: Batch, options: BeamOptions
) -> BeamState:
    """Goes on until nothing better is expected for any prompt, or the limit is reached.

    Args:
      reader: the model.
      params: the parameter tree.
      state: from `start`.
      batch: the prompts.
      options: of the search.

    Returns:
      The last state, with what was found in `finished`.
    """
    prompt = state.cache.mask.shape[1] - state.tokens.shape[2] + 1

    def body(state: BeamState) -> BeamState:
        last = jax.lax.dynamic_index_in_dim(state.tokens, state.step - 1, axis=2, keepdims=False)
        logits, new = reader.step(
            params, last.reshape(-1), state.positions, state.cache, state.encoded
        )
        cache = append_to_cache(state.cache, new, prompt + state.step - 1)
        state, rows = _advance(state, logits, batch, options)
        return dataclasses.replace(state, cache=take_rows(cache, rows))

    return jax.lax.while_loop(
        lambda state: (state.step < options.limit) & jnp.any(state.improvable), body, state
    )


def _advance(
    state: BeamState, logits: Float[Array, "R V"], batch: Batch, options: BeamOptions
) -> tuple[BeamState, Int[Array, "R"]]:
    """Continues every beam by one token: the state, and the row that each beam was before."""
    prompts, beams = state.scores.shape
    log_probs = process(jax.nn.log_softmax(logits, axis=-1), state.seen, options.sampling)
    vocab_size = log_probs.shape[-1]
    totals = log_probs.reshape(prompts, beams, vocab_size) + state.scores[:, :, None]
    # So many that K are left to continue when the others all end.
    kept = min(max(2, 1 + batch.ends.shape[0]), vocab_size) * beams
    scores, places = jax.lax.top_k(totals.reshape(prompts, -1), kept)
    parents, chosen = places // vocab_size, (places % vocab_size).astype(jnp.int32)
    tokens = jax.lax.dynamic_update_slice(
        _take(state.tokens, parents), chosen[:, :, None], (0, 0, state.step)
    )
    stopped = is_end(chosen, batch.ends)
    ended = stopped | (state.step + 1 >= options.limit)

    open_scores, order = jax.lax.top_k(jnp.where(ended, scores + _LOWEST, scores), beams)
    parents, chosen = _take(parents, order), _take(chosen, order)
    rows = (parents + jnp.arange(prompts, dtype=parents.dtype)[:, None] * beams).reshape(-1)
    seen = None if state.seen is None else mark_seen(state.seen[rows], chosen.reshape(-1))
    finished = _finish(state, options, scores, tokens, stopped, ended)
    step = state.step + 1
    possible = open_scores[:, 0] / _length(step, options)
    worst = jnp.where(finished.filled, jnp.min(finished.scores, axis=1, keepdims=True), _LOWEST)
    state = dataclasses.replace(
        state,
        positions=state.positions + 1,
        seen=seen,
        tokens=_take(tokens, order),
        scores=open_scores,
        finished=finished,
        improvable=state.improvable & jnp.any(possible[:, None] > worst, axis=1),
        step=step,
    )
    return state, rows


def _finish(
    state: BeamState,
    options: BeamOptions,
    scores: Float[Array, "B M"],
    tokens: Int[Array, "B M N"],
    stopped: Bool[Array, "B M"],
    ended: Bool[Array, "B M"],
) -> Finished:
    """Puts those that have ended among the best finished ones."""
    beams = state.scores.shape[1]
    # The rest are there to be continued, not to be returned.
    among_best = (jnp.arange(scores.shape[1]) < beams)[None, :]
    counted = ended & among_best
    allowed = counted & state.improvable[:, None]
    ranked = scores / _length(state.step + 1, options)
    ranked = jnp.where(allowed, ranked, ranked + _LOWEST)
    lengths = jnp.broadcast_to(state.step + 1, ranked.shape)
    new = Finished(tokens, ranked, lengths, stopped, counted)
    both = jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), state.finished, new)
    best = jax.lax.top_k(both.scores, beams)[1]
    return jax.tree.map(lambda leaf: _take(leaf, best), both)


def _length(tokens: Int[Array, ""], options: BeamOptions) -> Float[Array, ""]:
    return tokens.astype(jnp.float32) ** options.length_penalty


def _take(x: Array, places: Int[Array, "B M"]) -> Array:
    """Chooses along the second axis, of each prompt by its own places."""
    return jnp.take_along_axis(x, places.reshape(*places.shape, *[1] * (x.ndim - 2)), axis=1)

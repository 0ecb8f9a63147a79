"""Greedy and sampled decoding: read a prompt once, then one token at a time in a loop."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.blocks.row_params import AnyParams
from fsl_jax.models.generation.cache import allocate, append
from fsl_jax.models.generation.prompt_reader import PromptOutput, PromptReader
from fsl_jax.models.generation.sampling import Sampling, choose, mark_seen, seen_in

# The fields below are traced leaves of pytrees, so their annotations cannot be checked as shapes.


@struct.dataclass
class DecodeBatch:
    """Prompts to continue; `R = B * copies` rows continue the `B` prompts.

    Rows that continue one prompt are neighbours.

    Attributes:
      input_ids: int32 `[B, T]`; a decoder's prompts end in the last column.
      mask: bool `[B, T]`, True where a token is real.
      keys: threefry keys `[R]`, one per row.
      idle: bool `[B]`, True for prompts that only fill the batch.
      end_tokens: int32 `[E]`, the tokens that end a continuation, which includes them.
      prefix: a `SharedPrefix` with which all prompts begin, and which `input_ids` lack; or None.
    """

    input_ids: Any
    mask: Any
    keys: Any
    idle: Any
    end_tokens: Any
    prefix: Any = None


@struct.dataclass
class DecodeState:
    """The state of the loop when each row has `step` tokens.

    Attributes:
      cache: the keys and values of all tokens read so far, `[L, R, S, H_kv, Dh]`.
      encoded: keys and values of an encoder's tokens, or None.
      last: the last token chosen, which is read next, int32 `[R]`.
      positions: the positions of those tokens, int32 `[R]`.
      tokens: all tokens chosen, int32 `[R, N]`.
      log_probs: the log-probability of each of these tokens, float32 `[R, N]`.
      lengths: the number of tokens that count, up to the one that ended the row, int32 `[R]`.
      done: bool `[R]`, True once a row has ended.
      seen: bool `[R, V]` for the repetition penalty, or None.
      step: int32 `[]`.
    """

    cache: Any
    encoded: Any
    last: Any
    positions: Any
    tokens: Any
    log_probs: Any
    lengths: Any
    done: Any
    seen: Any
    step: Any


def start(
    reader: PromptReader,
    capacity: int,
    copies: int,
    params: AnyParams,
    batch: DecodeBatch,
    sampling: Sampling,
) -> DecodeState:
    """Read the prompts and choose the first token of each row.

    Args:
      reader: the model.
      capacity: the maximum number of tokens of a row, `N`.
      copies: the number of rows that continue each prompt.
      params: the parameter tree.
      batch: the prompts.
      sampling: how tokens are chosen.

    Returns:
      The state after the first token.
    """
    read, logits, positions, seen = read_prompts(reader, params, batch, copies, sampling)
    idle = jnp.repeat(batch.idle, copies, axis=0)
    rows = len(batch.input_ids) * copies
    # The last token is never read, so it needs no slot.
    slots = reader.decoder_length(params, batch.input_ids, batch.prefix) + capacity - 1
    window = reader.cache_window(params, batch.prefix)
    state = DecodeState(
        cache=allocate(read.key_values, slots, copies, window),
        encoded=repeat_encoded(read.encoded, copies),
        last=jnp.zeros(rows, jnp.int32),
        positions=positions,
        tokens=jnp.zeros((rows, capacity), jnp.int32),
        log_probs=jnp.zeros((rows, capacity), jnp.float32),
        lengths=jnp.zeros(rows, jnp.int32),
        done=idle,
        seen=seen,
        step=jnp.int32(0),
    )
    return _advance(state, logits, batch, sampling)


def run(
    reader: PromptReader,
    params: AnyParams,
    state: DecodeState,
    batch: DecodeBatch,
    sampling: Sampling,
    limit: Int[Array, ""],
) -> DecodeState:
    """Choose tokens until every row has ended or has `limit` tokens.

    Args:
      reader: the model.
      params: the parameter tree.
      state: from `start`, or from `run` with a lower limit.
      batch: the prompts.
      sampling: how tokens are chosen.
      limit: the number of tokens of a row, int32 `[]`; at most the capacity.

    Returns:
      The state after the last token.
    """
    prompt = reader.decoder_length(params, batch.input_ids, batch.prefix)

    def body(state: DecodeState) -> DecodeState:
        logits, new = reader.step(params, state.last, state.positions, state.cache, state.encoded)
        cache = append(state.cache, new, prompt + state.step - 1)
        return _advance(dataclasses.replace(state, cache=cache), logits, batch, sampling)

    return jax.lax.while_loop(
        lambda state: (state.step < limit) & ~jnp.all(state.done), body, state
    )


def read_prompts(
    reader: PromptReader, params: AnyParams, batch: DecodeBatch, copies: int, sampling: Sampling
) -> tuple[PromptOutput, Float[Array, "R V"], Int[Array, " R"], Bool[Array, "R V"] | None]:
    """Read the prompts, and repeat their output for the rows that continue them.

    Args:
      reader: the model.
      params: the parameter tree.
      batch: the prompts.
      copies: the number of rows that continue each prompt.
      sampling: how tokens are chosen.

    Returns:
      The output for the prompts; then, for each row, the logits of its first token, the position of
      its prompt's last token, and the tokens seen, or None without a repetition penalty.
    """
    read = reader.read(params, batch.input_ids, batch.mask, batch.prefix)
    seen = None
    if sampling.repetition_penalty is not None:
        seen = seen_in(read.decoder_ids, read.decoder_mask, read.logits.shape[-1])
    logits, positions, seen = jax.tree.map(
        lambda leaf: jnp.repeat(leaf, copies, axis=0), (read.logits, read.positions, seen)
    )
    return read, logits, positions, seen


def is_end(tokens: Int[Array, "*B"], end_tokens: Int[Array, " E"]) -> Bool[Array, "*B"]:
    """Return True where a token is one of the end tokens."""
    return jnp.any(tokens[..., None] == end_tokens.reshape(*[1] * tokens.ndim, -1), axis=-1)


def repeat_encoded(encoded: Any, copies: int) -> Any:
    """Repeat an encoder's keys and values for the rows that continue its prompts."""
    if encoded is None or copies == 1:
        return encoded
    return allocate(encoded, encoded.mask.shape[1], copies)


def _advance(
    state: DecodeState, logits: Float[Array, "R V"], batch: DecodeBatch, sampling: Sampling
) -> DecodeState:
    """Choose the next token of each row; rows that have ended do not grow."""
    step = state.step
    tokens, log_probs = choose(logits, state.seen, sampling, batch.keys, step)
    return dataclasses.replace(
        state,
        last=tokens,
        positions=state.positions + 1,
        tokens=jax.lax.dynamic_update_slice(state.tokens, tokens[:, None], (0, step)),
        log_probs=jax.lax.dynamic_update_slice(state.log_probs, log_probs[:, None], (0, step)),
        lengths=state.lengths + (~state.done).astype(jnp.int32),
        done=state.done | is_end(tokens, batch.end_tokens),
        seen=mark_seen(state.seen, tokens),
        step=step + 1,
    )

"""Continuing one batch of prompts: the compiled programs, and the host between them."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.models.blocks.row_params import AnyParams, RowParams
from fsl_jax.models.generation import decode_loop
from fsl_jax.models.generation.decode_loop import Batch, DecodeState
from fsl_jax.models.generation.programs import program
from fsl_jax.models.generation.prompts import PromptBatch
from fsl_jax.models.generation.reader import Reader
from fsl_jax.models.generation.searching import search
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.generation.stopping import CHUNK, stopped_rows


@dataclasses.dataclass(frozen=True)
class Found:
    """One continuation.

    Attributes:
      tokens: those that count.
      score: as `generate` defines it.
      stopped: whether a token or a string ended it.
    """

    tokens: list[int]
    score: float
    stopped: bool


def continue_batch(
    reader: Reader,
    params: AnyParams,
    batch: PromptBatch,
    keys: jax.Array,
    ends: Sequence[int],
    settings: GenerationSettings,
) -> list[list[Found]]:
    """Continues the prompts of a batch.

    Args:
      reader: the model.
      params: the parameter tree, or those of all prompts.
      batch: the prompts.
      keys: threefry keys of all prompts, `[prompts, copies]`.
      ends: the tokens that end a continuation.
      settings: of the generation.

    Returns:
      The continuations of each prompt of the batch, in its order.
    """
    rows = len(batch.input_ids)
    places = np.array(batch.indices + batch.indices[-1:] * (rows - len(batch.indices)))
    arrays = Batch(
        input_ids=jnp.asarray(batch.input_ids),
        mask=jnp.asarray(batch.mask),
        keys=keys[places].reshape(-1),
        idle=jnp.arange(rows) >= len(batch.indices),
        ends=jnp.array(ends, jnp.int32),
    )
    own = params.take(places) if isinstance(params, RowParams) else params
    continued = _search if settings.num_beams > 1 else _decode
    found = continued(reader, own, batch.capacity, arrays, settings)
    return found[: len(batch.indices)]


def _decode(
    reader: Reader, params: AnyParams, capacity: int, batch: Batch, settings: GenerationSettings
) -> list[list[Found]]:
    """Greedy and sampled continuations; stop strings are looked for between chunks of steps."""
    sampling, tokenizer = settings.sampling, reader.pretrained.tokenizer
    begin = program(decode_loop.start, reader, capacity, settings.copies)
    go_on = program(decode_loop.run, reader, donated=1)
    state, limit = begin(params, batch, sampling), settings.max_new_tokens
    if not settings.stop:
        return _decoded(go_on(params, state, batch, sampling, jnp.int32(limit)), {}, settings)
    stopped: dict[int, int] = {}
    known, done = 0, np.repeat(np.asarray(batch.idle), settings.copies)
    while True:
        tokens, lengths = np.asarray(state.tokens), np.asarray(state.lengths)
        stopped |= stopped_rows(tokenizer, tokens, done, lengths, settings.stop, known)
        known, done = int(state.step), np.array(state.done)
        done[list(stopped)] = True
        state = dataclasses.replace(state, done=jnp.asarray(done))
        if known >= limit or done.all():
            return _decoded(state, stopped, settings)
        state = go_on(params, state, batch, sampling, jnp.int32(min(known + CHUNK, limit)))


def _decoded(
    state: DecodeState, stopped: dict[int, int], settings: GenerationSettings
) -> list[list[Found]]:
    """What the state holds, with the tokens that rows with a stop string keep."""
    tokens, log_probs, lengths, done = jax.device_get(
        (state.tokens, state.log_probs, state.lengths, state.done)
    )
    kept = [stopped.get(row, int(length)) for row, length in enumerate(lengths)]
    found = [
        Found(tokens[row, :length].tolist(), float(log_probs[row, :length].sum()), bool(done[row]))
        for row, length in enumerate(kept)
    ]
    copies = settings.copies
    return [found[first : first + copies] for first in range(0, len(found), copies)]


def _search(
    reader: Reader, params: AnyParams, capacity: int, batch: Batch, settings: GenerationSettings
) -> list[list[Found]]:
    """The best beams, without places that the search could not fill."""
    best = search(reader, params, capacity, batch, settings)
    return [
        [
            Found(
                best.tokens[row, beam, : best.lengths[row, beam]].tolist(),
                float(best.scores[row, beam]),
                bool(best.stopped[row, beam]),
            )
            for beam in range(settings.num_return_sequences)
            if best.filled[row, beam]
        ]
        for row in range(len(best.tokens))
    ]

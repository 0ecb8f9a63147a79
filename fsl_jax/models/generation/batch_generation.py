"""Continue one batch of prompts: run the compiled programs, and look for stop strings."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.models.blocks.row_params import AnyParams, RowParams
from fsl_jax.models.generation import decode_loop
from fsl_jax.models.generation.batch_beam_search import search_beams
from fsl_jax.models.generation.decode_loop import DecodeBatch, DecodeState
from fsl_jax.models.generation.programs import program
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.prompts import PromptBatch
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.generation.shared_prefix import SharedPrefix
from fsl_jax.models.generation.stopping import CHUNK, stopped_rows
from fsl_jax.models.generation.texts import ContinuationText


@dataclasses.dataclass(frozen=True)
class ScoredTokens:
    """The tokens of one continuation.

    Attributes:
      tokens: the tokens that count.
      score: as `Continuation` defines it.
      stopped: True if a token or a string ended it, False if the limit did.
    """

    tokens: list[int]
    score: float
    stopped: bool


def continue_batch(
    reader: PromptReader,
    params: AnyParams,
    batch: PromptBatch,
    keys: jax.Array,
    end_tokens: Sequence[int],
    settings: GenerationSettings,
    prefix: SharedPrefix | None = None,
) -> list[list[ScoredTokens]]:
    """Continue the prompts of a batch.

    Args:
      reader: the model.
      params: the parameter tree, or the parameters of each prompt's row.
      batch: the prompts.
      keys: threefry keys of all prompts, `[prompts, copies]`.
      end_tokens: the tokens that end a continuation.
      settings: the settings of the generation.
      prefix: the beginning of all prompts, which those of the batch lack; None if they are whole.

    Returns:
      The continuations of each prompt of the batch, in its order.
    """
    rows = len(batch.input_ids)
    indices = np.array(batch.indices + batch.indices[-1:] * (rows - len(batch.indices)))
    arrays = DecodeBatch(
        input_ids=jnp.asarray(batch.input_ids),
        mask=jnp.asarray(batch.mask),
        keys=keys[indices].reshape(-1),
        idle=jnp.arange(rows) >= len(batch.indices),
        end_tokens=jnp.array(end_tokens, jnp.int32),
        prefix=prefix,
    )
    batch_params = params.take(indices) if isinstance(params, RowParams) else params
    texts = [
        ContinuationText.of(reader, ids[mask].tolist())
        for ids, mask in zip(batch.input_ids, batch.mask, strict=True)
    ]
    continue_rows = _search if settings.num_beams > 1 else _decode
    continuations = continue_rows(reader, batch_params, batch.capacity, arrays, settings, texts)
    return continuations[: len(batch.indices)]


def _decode(
    reader: PromptReader,
    params: AnyParams,
    capacity: int,
    batch: DecodeBatch,
    settings: GenerationSettings,
    texts: Sequence[ContinuationText],
) -> list[list[ScoredTokens]]:
    """Decode greedily or by sampling, looking for stop strings between chunks of steps."""
    sampling = settings.sampling
    row_texts = [text for text in texts for _ in range(settings.copies)]
    start = program(decode_loop.start, reader, capacity, settings.copies)
    run = program(decode_loop.run, reader, donated=1)
    state, limit = start(params, batch, sampling), settings.max_new_tokens
    if not settings.stop:
        return _collect(run(params, state, batch, sampling, jnp.int32(limit)), {}, settings)
    stopped: dict[int, int] = {}
    checked, done = 0, np.repeat(np.asarray(batch.idle), settings.copies)
    while True:
        tokens, lengths = np.asarray(state.tokens), np.asarray(state.lengths)
        options = {"skip_blank": settings.skip_blank}
        stopped |= stopped_rows(row_texts, tokens, done, lengths, settings.stop, checked, **options)
        checked, done = int(state.step), np.array(state.done)
        done[list(stopped)] = True
        state = dataclasses.replace(state, done=jnp.asarray(done))
        if checked >= limit or done.all():
            return _collect(state, stopped, settings)
        state = run(params, state, batch, sampling, jnp.int32(min(checked + CHUNK, limit)))


def _collect(
    state: DecodeState, stopped: dict[int, int], settings: GenerationSettings
) -> list[list[ScoredTokens]]:
    """Collect the continuations of each prompt from the state.

    `stopped` has the number of tokens to keep for each row with a stop string.
    """
    tokens, log_probs, lengths, done = jax.device_get(
        (state.tokens, state.log_probs, state.lengths, state.done)
    )
    kept = [stopped.get(row, int(length)) for row, length in enumerate(lengths)]
    rows = [
        ScoredTokens(
            tokens[row, :length].tolist(), float(log_probs[row, :length].sum()), bool(done[row])
        )
        for row, length in enumerate(kept)
    ]
    copies = settings.copies
    return [rows[first : first + copies] for first in range(0, len(rows), copies)]


def _search(
    reader: PromptReader,
    params: AnyParams,
    capacity: int,
    batch: DecodeBatch,
    settings: GenerationSettings,
    texts: Sequence[ContinuationText],
) -> list[list[ScoredTokens]]:
    """Run a beam search, and leave out slots that the search could not fill."""
    best = search_beams(reader, params, capacity, batch, settings, texts)
    return [
        [
            ScoredTokens(
                best.tokens[row, beam, : best.lengths[row, beam]].tolist(),
                float(best.scores[row, beam]),
                bool(best.stopped[row, beam]),
            )
            for beam in range(settings.num_return_sequences)
            if best.filled[row, beam]
        ]
        for row in range(len(best.tokens))
    ]

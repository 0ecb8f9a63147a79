"""Beam search for one batch: run the compiled programs, and end beams at stop strings."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.models.blocks.row_params import AnyParams
from fsl_jax.models.generation import beam_search
from fsl_jax.models.generation.beams import BeamOptions, BeamState, Candidates, FinishedBeams
from fsl_jax.models.generation.decode_loop import DecodeBatch
from fsl_jax.models.generation.programs import program
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.generation.stopping import has_stop
from fsl_jax.models.generation.texts import ContinuationText


def search_beams(
    reader: PromptReader,
    params: AnyParams,
    capacity: int,
    batch: DecodeBatch,
    settings: GenerationSettings,
    texts: Sequence[ContinuationText],
) -> FinishedBeams:
    """Return the best or the drawn beams of each prompt.

    Args:
      reader: the model.
      params: the parameter tree.
      capacity: the maximum number of tokens of a beam, `N`.
      batch: the prompts.
      settings: the settings of the generation.
      texts: decode the continuations, one for each prompt.

    Returns:
      The finished beams, as NumPy arrays.
    """
    options = BeamOptions(
        settings.sampling,
        length_penalty=jnp.float32(settings.length_penalty),
        limit=jnp.int32(settings.max_new_tokens),
    )
    start = program(beam_search.start, reader, capacity, settings.num_beams)
    state, candidates = start(params, batch, options)
    if settings.stop:
        state = _search_step_by_step(
            reader, params, state, candidates, batch, options, settings, texts
        )
    else:
        run = program(beam_search.run, reader, donated=1)
        state = run(params, state, candidates, batch, options)
    return jax.device_get(state.finished)


def _search_step_by_step(
    reader: PromptReader,
    params: AnyParams,
    state: BeamState,
    candidates: Candidates,
    batch: DecodeBatch,
    options: BeamOptions,
    settings: GenerationSettings,
    texts: Sequence[ContinuationText],
) -> BeamState:
    """Search with stop strings, for which the host looks after each token.

    When a beam ends, other beams are continued, so no step can be computed ahead.
    """
    settle = program(beam_search.settle, donated=0)
    propose = program(beam_search.propose, reader, donated=1)
    while True:
        length = int(state.step) + 1
        tokens, stopped = np.asarray(candidates.tokens), np.array(candidates.stopped)
        for prompt in np.flatnonzero(state.improvable).tolist():
            rows = tokens[prompt, :, :length].tolist()
            stopped[prompt] |= [
                has_stop(texts[prompt], row, settings.stop, skip_blank=settings.skip_blank)
                for row in rows
            ]
        candidates = dataclasses.replace(candidates, stopped=jnp.asarray(stopped))
        state = settle(state, candidates, options)
        if length >= settings.max_new_tokens or not np.any(state.improvable):
            return state
        state, candidates = propose(params, state, batch, options)

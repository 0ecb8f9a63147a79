"""Searching the continuations of one batch by beams: the programs, and the host between them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.models.blocks.row_params import AnyParams
from fsl_jax.models.generation import beam_search
from fsl_jax.models.generation.beams import BeamOptions, BeamState, Candidates, Finished
from fsl_jax.models.generation.decode_loop import Batch
from fsl_jax.models.generation.programs import program
from fsl_jax.models.generation.reader import Reader
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.generation.stopping import has_stop


def search(
    reader: Reader, params: AnyParams, capacity: int, batch: Batch, settings: GenerationSettings
) -> Finished:
    """The best beams of each prompt, or those that were drawn.

    Args:
      reader: the model.
      params: the parameter tree.
      capacity: `N`, how many tokens a beam can get.
      batch: the prompts.
      settings: of the generation.

    Returns:
      The continuations, as NumPy arrays.
    """
    options = BeamOptions(
        settings.sampling,
        length_penalty=jnp.float32(settings.length_penalty),
        limit=jnp.int32(settings.max_new_tokens),
    )
    begin = program(beam_search.start, reader, capacity, settings.num_beams)
    state, candidates = begin(params, batch, options)
    if settings.stop:
        state = _step_by_step(reader, params, state, candidates, batch, options, settings)
    else:
        go_on = program(beam_search.run, reader, donated=1)
        state = go_on(params, state, candidates, batch, options)
    return jax.device_get(state.finished)


def _step_by_step(
    reader: Reader,
    params: AnyParams,
    state: BeamState,
    candidates: Candidates,
    batch: Batch,
    options: BeamOptions,
    settings: GenerationSettings,
) -> BeamState:
    """The search where strings end beams: which do decides what the others go on with.

    So nothing can be computed ahead, and what a token ended is looked for in the text, on the host,
    after each of them.
    """
    settle = program(beam_search.settle, donated=0)
    propose = program(beam_search.propose, reader, donated=1)
    tokenizer: Any = reader.pretrained.tokenizer
    while True:
        length = int(state.step) + 1
        tokens, stopped = np.asarray(candidates.tokens), np.array(candidates.stopped)
        for prompt in np.flatnonzero(state.improvable):
            rows = tokens[prompt, :, :length].tolist()
            stopped[prompt] |= [has_stop(tokenizer, row, settings.stop) for row in rows]
        candidates = dataclasses.replace(candidates, stopped=jnp.asarray(stopped))
        state = settle(state, candidates, options)
        if length >= settings.max_new_tokens or not np.any(state.improvable):
            return state
        state, candidates = propose(params, state, batch, options)

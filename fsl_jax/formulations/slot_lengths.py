"""The tokens of examples in slots, of which an answer may take fewer than the longest allowed."""

import numpy as np
from jaxtyping import Int32

from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.formulations.writing.answer_states import ANSWER
from fsl_jax.formulations.writing.answer_tokens import NO_TOKEN
from fsl_jax.packing.pool import Pool


def slot_lengths(formulation: Formulation, params: Params, pool: Pool) -> Int32[np.ndarray, " S"]:
    """Return the number of tokens that each segment of a pool has in its slot.

    Slots as wide as the longest one are wide enough for the pool.

    Args:
      formulation: the formulation of the pool.
      params: the parameters, of which only shapes are read.
      pool: the examples, on the host.

    Returns:
      The numbers; all 0 if there are no slots.
    """
    most = np.int32(formulation.slot_width(params))
    widths = np.where(pool.lengths > 0, most, np.int32(0))
    answers = pool.features.get(ANSWER)
    if answers is None or not most or not isinstance(formulation, WritingFormulation):
        return widths
    written = np.sum(answers != NO_TOKEN, axis=1, dtype=np.int32)
    return np.where(widths > 0, widths - formulation.max_answer + written, np.int32(0))

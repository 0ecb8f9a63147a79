import jax
import numpy as np

from fsl_jax.packing.placements import Placements, RowShape

SHAPE = RowShape(rows=2, length=6, slots=2)


def test_padding_counts_as_computed():
    assert SHAPE.tokens == 12


def test_an_index_takes_one_step_of_all_arrays():
    placements = Placements(
        examples=np.int32([[0, 1], [2, 3]]),
        starts=np.int32([[0, 6], [1, 7]]),
        weight=np.float32([[1, 1], [1, 0]]),
        shape=SHAPE,
    )
    step = jax.jit(Placements.at)(placements, 1)
    assert step.examples.tolist() == [2, 3]
    assert step.starts.tolist() == [1, 7]
    assert step.weight.tolist() == [1, 0]
    assert step.shape == SHAPE

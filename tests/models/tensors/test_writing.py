"""Writing a checkpoint is reading it backwards."""

import numpy as np
import pytest

from fsl_jax.models.tensors.reading import read_leaves
from fsl_jax.models.tensors.tensor_map import KEEP, TRANSPOSE, TensorMap, TensorRule
from fsl_jax.models.tensors.writing import write_tensors

PLAIN = TensorMap(
    rules=(
        TensorRule("body.word.weight", "embedding"),
        TensorRule("body.layer.{layer}.weight", "layers/kernel", TRANSPOSE),
    ),
    prefix="body.",
)
PLAIN_SHAPES = {"embedding": (5, 2), "layers/kernel": (3, 2, 4)}
PLAIN_TENSORS = {"body.word.weight": (5, 2)} | {
    f"body.layer.{layer}.weight": (4, 2) for layer in range(3)
}

FUSED = TensorMap(
    rules=tuple(
        TensorRule(f"layer.{{layer}}.fused.{kind}", f"layers/{part}/{leaf}", transform, (number, 3))
        for number, part in enumerate(("query", "key", "value"))
        for kind, leaf, transform in (("weight", "kernel", KEEP), ("bias", "bias", KEEP))
    )
)
FUSED_SHAPES = {
    f"layers/{part}/{leaf}": (2, *shape)
    for part in ("query", "key", "value")
    for leaf, shape in (("kernel", (4, 5)), ("bias", (5,)))
}
FUSED_TENSORS = {f"layer.{layer}.fused.weight": (4, 15) for layer in range(2)} | {
    f"layer.{layer}.fused.bias": (15,) for layer in range(2)
}

BELOW = TensorMap(
    tuple(
        TensorRule("fused", f"{path}/kernel", TRANSPOSE, (number, 2), axis=0)
        for number, path in enumerate(("first", "second"))
    )
)
BELOW_SHAPES = {"first/kernel": (5, 2), "second/kernel": (5, 2)}


class Stored:
    """A tensor of a checkpoint."""

    def __init__(self, shape):
        self.shape = shape

    def load(self):
        return np.arange(np.prod(self.shape), dtype=np.float32).reshape(self.shape)


@pytest.mark.parametrize(
    ("tensor_map", "shapes", "tensors"),
    [
        (PLAIN, PLAIN_SHAPES, PLAIN_TENSORS),
        (FUSED, FUSED_SHAPES, FUSED_TENSORS),
        (BELOW, BELOW_SHAPES, {"fused": (4, 5)}),
    ],
)
def test_writing_is_reading_backwards(tensor_map, shapes, tensors):
    stored = {name: Stored(shape) for name, shape in tensors.items()}
    leaves = {path: leaf.load() for path, leaf in read_leaves("file", stored, tensor_map, shapes)}
    written = dict(write_tensors(leaves, tensor_map))
    assert written.keys() == stored.keys()
    for name, tensor in stored.items():
        np.testing.assert_array_equal(written[name], tensor.load())

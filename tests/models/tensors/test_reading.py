"""Reading a checkpoint by a tensor map, with every problem told at once."""

import re

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.tensors.reading import read_leaves
from fsl_jax.models.tensors.tensor_map import KEEP, TRANSPOSE, TensorMap, TensorRule

TABLE = TensorMap(
    rules=(
        TensorRule("body.word.weight", "embedding"),
        TensorRule("body.layer.{layer}.weight", "layers/kernel", TRANSPOSE),
    ),
    prefix="body.",
    renamed=(("gamma", "weight"),),
    ignored=(r"buffer\.\d+",),
)
SHAPES = {"embedding": (5, 2), "layers/kernel": (3, 2, 4)}


class Stored:
    """A tensor of a checkpoint."""

    def __init__(self, shape):
        self.shape = shape

    def load(self):
        return np.arange(np.prod(self.shape), dtype=np.float32).reshape(self.shape)


def checkpoint(**changes):
    """Tensors that fit; a change of None takes one away."""
    tensors = {"body.word.weight": Stored((5, 2))}
    tensors |= {f"body.layer.{layer}.weight": Stored((4, 2)) for layer in range(3)}
    tensors |= {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def read(tensors):
    leaves = read_leaves("checkpoint", tensors, TABLE, SHAPES)
    return {path: leaf.load() for path, leaf in leaves}


def test_leaves_are_stacked_and_transposed():
    leaves = read(checkpoint())
    np.testing.assert_array_equal(leaves["embedding"], Stored((5, 2)).load())
    np.testing.assert_array_equal(leaves["layers/kernel"][2], Stored((4, 2)).load().T)
    assert {path: leaf.shape for path, leaf in leaves.items()} == SHAPES


def test_names_without_the_prefix_and_former_names_are_known():
    tensors = {
        name.removeprefix("body.").replace("weight", "gamma"): tensor
        for name, tensor in checkpoint().items()
    }
    assert set(read(tensors)) == set(SHAPES)


def test_ignored_names_are_left_out():
    assert set(read(checkpoint(buffer__0=Stored((1,))))) == set(SHAPES)


def test_all_faults_are_told_at_once():
    tensors = checkpoint(
        body__layer__1__weight=None,
        body__layer__2__weight=Stored((2, 4)),
        layer__0__weight=Stored((4, 2)),
        body__layer__3__weight=Stored((4, 2)),
        buffer__x=Stored((1,)),
    )
    with pytest.raises(InputError) as error:
        read_leaves("checkpoint", tensors, TABLE, SHAPES)
    for fault in (
        "duplicate: body.layer.0.weight and layer.0.weight are the same tensor",
        "missing: layer.1.weight",
        "wrong shape: body.layer.2.weight is [2, 4], expected [4, 2]",
        "not known: body.layer.3.weight",
        "not known: buffer.x",
    ):
        assert fault in str(error.value)
    assert len(re.findall("^  - ", str(error.value), re.MULTILINE)) == 5


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
FUSED_TENSORS = {f"layer.{layer}.fused.weight": Stored((4, 15)) for layer in range(2)} | {
    f"layer.{layer}.fused.bias": Stored((15,)) for layer in range(2)
}


def test_a_tensor_may_hold_several_leaves():
    leaves = {
        path: leaf.load()
        for path, leaf in read_leaves("checkpoint", FUSED_TENSORS, FUSED, FUSED_SHAPES)
    }
    whole = Stored((4, 15)).load()
    for number, part in enumerate(("query", "key", "value")):
        own = slice(5 * number, 5 * number + 5)
        np.testing.assert_array_equal(leaves[f"layers/{part}/kernel"][1], whole[:, own])
        np.testing.assert_array_equal(leaves[f"layers/{part}/bias"][0], np.arange(15)[own])


def test_several_leaves_may_lie_below_one_another():
    table = TensorMap(
        tuple(
            TensorRule("fused", f"{path}/kernel", TRANSPOSE, (number, 2), axis=0)
            for number, path in enumerate(("first", "second"))
        )
    )
    shapes = {"first/kernel": (5, 2), "second/kernel": (5, 2)}
    tensor = Stored((4, 5))
    leaves = {
        path: leaf.load() for path, leaf in read_leaves("file", {"fused": tensor}, table, shapes)
    }
    np.testing.assert_array_equal(leaves["second/kernel"], tensor.load()[2:].T)


def test_faults_of_a_tensor_with_several_leaves_are_told_once():
    tensors = FUSED_TENSORS | {"layer.1.fused.weight": Stored((4, 5))}
    del tensors["layer.0.fused.bias"]
    with pytest.raises(InputError) as error:
        read_leaves("checkpoint", tensors, FUSED, FUSED_SHAPES)
    assert str(error.value).splitlines()[1:] == [
        "  - missing: layer.0.fused.bias",
        "  - wrong shape: layer.1.fused.weight is [4, 5], expected [4, 15]",
    ]

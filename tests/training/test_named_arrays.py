"""Leaves go into host memory and come back with their type and their sharding."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from fsl_jax.training import named_arrays


class State(NamedTuple):
    count: jax.Array
    moments: dict


def restored(tree, template=None):
    return named_arrays.arrays_to_tree(
        tree if template is None else template, named_arrays.tree_to_arrays(tree)
    )


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float16", "int32", "uint32", "int8", "bool", "complex64"]
)
def test_arrays_come_back_bit_by_bit(dtype):
    array = jax.random.bits(jax.random.key(0), (3, 5), jnp.uint8).astype(dtype)
    found = restored(array)
    assert (found.dtype, found.weak_type) == (array.dtype, False)
    assert np.asarray(found).tobytes() == np.asarray(array).tobytes()


def test_nan_payloads_and_signed_zeros_survive():
    bits = np.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000, 1], np.uint32)
    found = restored(jnp.asarray(bits.view(np.float32)))
    np.testing.assert_array_equal(np.asarray(found).view(np.uint32), bits)


def test_structure_is_the_templates():
    tree = {"a": None, "b": [State(jnp.int32(3), {"x": jnp.ones(2)}), ()], "c": jnp.zeros((0, 4))}
    found = restored(tree)
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    assert sorted(named_arrays.describe(tree)) == ["b/0/count", "b/0/moments/x", "c"]
    assert found["c"].shape == (0, 4)


def test_arrays_without_elements_need_not_be_given():
    template = {
        "a": jnp.zeros((0, 4), jnp.bfloat16),
        "keys": jax.random.split(jax.random.key(0), 0),
    }
    found = named_arrays.arrays_to_tree(template, {})
    assert (found["a"].shape, found["a"].dtype) == ((0, 4), jnp.bfloat16)
    assert (found["keys"].shape, found["keys"].dtype) == ((0,), template["keys"].dtype)


def test_python_and_numpy_values_keep_their_types():
    tree = {
        "i": 2**40,
        "b": True,
        "f": 0.1,
        "g": np.float32(0.1),
        "n": np.arange(3, dtype=np.int64),
    }
    found = restored(tree)
    assert {name: type(x) for name, x in found.items()} == {
        name: type(x) for name, x in tree.items()
    }
    assert found["n"].dtype == np.int64
    np.testing.assert_array_equal(found.pop("n"), tree.pop("n"))
    assert found == tree


def test_a_tree_may_be_one_leaf():
    assert named_arrays.describe(jnp.ones(2)) == {".": named_arrays.Description("float32", (2,))}
    np.testing.assert_array_equal(restored(jnp.arange(2.0)), [0, 1])


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_typed_keys_stay_typed_keys(kind):
    keys = jax.random.split(jax.random.key(7, impl=kind), 3)
    template = jax.ShapeDtypeStruct(keys.shape, keys.dtype)
    assert named_arrays.describe({"k": keys}) == named_arrays.describe({"k": template})
    assert str(named_arrays.describe(keys)["."]) == f"key<{kind}>[3]"
    found = restored(keys, template)
    assert jax.random.key_impl(found) == kind
    np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(keys))


def test_shardings_of_the_template_are_taken():
    mesh = jax.make_mesh((8,), ("runs",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("runs"))
    keys = jax.random.split(jax.random.key(0), 8)
    tree = {"x": jnp.arange(16.0).reshape(8, 2), "k": keys}
    placed = jax.device_put(tree, sharding)
    template = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )
    for found in (restored(placed), restored(tree, template)):
        assert found["x"].sharding == sharding
        assert found["k"].sharding == sharding
        np.testing.assert_array_equal(found["x"], tree["x"])
        np.testing.assert_array_equal(jax.random.key_data(found["k"]), jax.random.key_data(keys))


def test_what_was_free_to_move_stays_so_and_compiles_nothing_new():
    free, bound = jnp.ones(3), jax.device_put(jnp.ones(3), jax.devices()[1])
    assert not restored(free).committed
    assert restored(bound).committed
    assert restored(bound).devices() == {jax.devices()[1]}
    double = jax.jit(lambda x: x * 2.0)
    double(free)
    double(restored(free))
    assert double._cache_size() == 1


@pytest.mark.parametrize("leaf", ["text", 2**70, object()])
def test_what_is_no_number_is_refused(leaf):
    with pytest.raises(TypeError, match=r"settings/x is .*expected an array or a number"):
        named_arrays.describe({"settings": {"x": leaf}})


def test_paths_that_would_collide_are_refused():
    with pytest.raises(ValueError, match="same path"):
        named_arrays.describe({"a/b": 1, "a": {"b": 2}})


def test_differences_name_every_leaf():
    saved = named_arrays.describe({"a": jnp.ones(2), "b": jnp.ones(3), "c": 1, "e": jnp.ones(1)})
    expected = named_arrays.describe(
        {"a": jnp.ones(3), "b": jnp.ones(3), "d": 1, "e": jnp.ones(1) > 0}
    )
    assert named_arrays.differences(saved, expected) == [
        "a: found float32[2], expected float32[3]",
        "c: unexpected, found int64[]",
        "d: missing, expected int64[]",
        "e: found float32[1], expected bool[1]",
    ]

"""Rows with parameters of their own: which leaves each gets, and where its results are put."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.added_leaves import neutral_value
from fsl_jax.models.blocks.layers import Dense
from fsl_jax.models.blocks.row_params import RowParams, map_rows, one_tree
from fsl_jax.models.outputs import KeyValues

SHARED = {"layer": {"bias": jnp.array([1.0, 2.0]), "kernel": jnp.eye(2)}}
OWN = {
    "layer/bias": jnp.array([[10.0, 20.0], [30.0, 40.0]]),
    "layer/ia3": jnp.array([[2.0, 3.0], [4.0, 5.0]]),
}


def test_rows_get_leaves_of_their_own_or_those_that_are_shared():
    params = RowParams(SHARED, OWN, jnp.array([1, -1, 0], jnp.int32))
    leaves = map_rows(lambda tree: jax.tree.map(lambda leaf: leaf[None], tree), params)["layer"]
    np.testing.assert_array_equal(leaves["bias"], [[30, 40], [1, 2], [10, 20]])
    np.testing.assert_array_equal(leaves["ia3"], [[4, 5], [1, 1], [2, 3]])
    taken = params.take(np.array([2, 2, 0]))
    biases = map_rows(lambda tree: tree["layer"]["bias"][None], taken)
    np.testing.assert_array_equal(biases, [[10, 20], [10, 20], [30, 40]])
    shapes = jax.tree.map(jnp.shape, one_tree(params)["layer"])
    assert shapes == {"bias": (2,), "ia3": (2,), "kernel": (2, 2)}


def test_a_row_is_what_the_model_reads_of_it():
    def doubled(tree):
        both = jnp.concatenate([tree["layer"]["ia3"]] * 2)
        return {"layer": tree["layer"] | {"ia3": both}}

    params = RowParams(SHARED, OWN, jnp.array([1, -1], jnp.int32), doubled)
    found = map_rows(lambda tree: tree["layer"]["ia3"][None], params.take(np.array([1, 0])))
    np.testing.assert_array_equal(found, [[1, 1, 1, 1], [4, 5, 4, 5]])
    assert one_tree(params)["layer"]["ia3"].shape == (4,)


def test_rows_side_by_side_have_the_same_parameters_wherever_the_batch_is():
    params = RowParams(SHARED, OWN, jnp.array([0, 1], jnp.int32))
    keys = jnp.arange(3 * 4 * 5 * 1 * 2, dtype=jnp.float32).reshape(3, 4, 5, 1, 2)
    places = jnp.arange(20, dtype=jnp.int32).reshape(4, 5)
    given = KeyValues(keys, -keys, places > 3, places, places + 1)

    def scale(tree, cache):
        assert cache.keys.shape == (3, 2, 5, 1, 2)
        factor = tree["layer"]["ia3"][0]
        return cache.replace(keys=cache.keys * factor), cache.positions[:, 0]

    found, first = map_rows(scale, params, given)
    factors = np.array([2, 2, 4, 4], np.float32)[None, :, None, None, None]
    np.testing.assert_array_equal(found.keys, keys * factors)
    np.testing.assert_array_equal(found.values, -keys)
    np.testing.assert_array_equal(found.mask, places > 3)
    np.testing.assert_array_equal(found.positions, places)
    np.testing.assert_array_equal(found.segment_ids, places + 1)
    np.testing.assert_array_equal(first, places[:, 0])


@pytest.mark.parametrize("beside", [(), ("lora_e",), ("lora_magnitude", "lora_norm")])
def test_a_linear_layer_with_neutral_leaves_is_as_it_was(beside):
    x, layer = jax.random.normal(jax.random.key(0), (1, 3, 4)), Dense(5)
    params = layer.init(jax.random.key(1), x)["params"]
    shapes = {
        "lora_a": (4, 2),
        "lora_b": (2, 5),
        "lora_scale": (),
        "lora_e": (2,),
        "lora_magnitude": (5,),
        "lora_norm": (5,),
        "ia3": (5,),
        "ia3_in": (4,),
    }
    added = {
        name: jnp.full(shapes[name], neutral_value(f"layers/query/{name}"))
        for name in ("lora_a", "lora_b", "lora_scale", "ia3", "ia3_in", *beside)
    }
    plain, adapted = (layer.apply({"params": {**params, **more}}, x) for more in ({}, added))
    np.testing.assert_allclose(adapted, plain, rtol=1e-6)


@pytest.mark.parametrize("beside", [("lora_e",), ("lora_magnitude", "lora_norm")])
def test_a_low_rank_update_with_what_another_kind_has_beside_it_is_as_it_was(beside):
    x, layer = jax.random.normal(jax.random.key(0), (1, 3, 4)), Dense(5)
    params = layer.init(jax.random.key(1), x)["params"]
    update = {"lora_a": (4, 2), "lora_b": (2, 5), "lora_scale": ()}
    own = {**params, **{name: jnp.full(shape, 0.7) for name, shape in update.items()}}
    widths = {"lora_e": 2, "lora_magnitude": 5, "lora_norm": 5}
    added = {name: jnp.full(widths[name], neutral_value(f"query/{name}")) for name in beside}
    plain, adapted = (layer.apply({"params": {**own, **more}}, x) for more in ({}, added))
    np.testing.assert_allclose(adapted, plain, rtol=1e-6)

"""VeRA: its leaves, what it computes, and its random matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import VeRA, attach, load_peft, save_peft
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)
METHOD = VeRA(rank=5, targets="(value|down)$")


@pytest.fixture
def moved(llama, move):
    """A tree with vectors that do something."""
    return move(*attach(llama.params, METHOD, KEY), scale=1.0)


def test_leaves_have_the_shapes_of_their_kernels_and_the_model_starts_out_as_the_base(
    llama, hidden
):
    params, mask = attach(llama.params, METHOD, KEY, lambda p: hidden(llama, p))
    added = {path: leaf for path, leaf in flatten(params).items() if "vera" in path}
    assert {path: leaf.shape for path, leaf in added.items()} == {
        "layers/attention/value/vera_d": (3, 5),
        "layers/attention/value/vera_b": (3, 8),
        "layers/mlp/down/vera_d": (3, 5),
        "layers/mlp/down/vera_b": (3, 16),
        "vera/a": (32, 5),
        "vera/b": (5, 16),
    }
    assert all(leaf.dtype == jnp.float32 for leaf in added.values())
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    assert trained == {path for path in added if not path.startswith("vera/")}
    found = hidden(llama, METHOD.reparametrize(params))
    np.testing.assert_array_equal(found, hidden(llama, llama.params))


def test_a_layer_adds_what_its_vectors_make_of_its_part_of_the_matrices(llama, hidden, moved):
    merged = flatten(llama.params)
    for parent in ("layers/attention/value", "layers/mlp/down"):
        kernel = merged[f"{parent}/kernel"]
        d, b = (flatten(moved)[f"{parent}/vera_{name}"] for name in "db")
        a = moved["vera"]["a"][None, : kernel.shape[1]] * d[:, None]
        merged[f"{parent}/kernel"] += a @ moved["vera"]["b"][:, : kernel.shape[2]] * b[:, None]
    found = hidden(llama, METHOD.reparametrize(moved))
    np.testing.assert_allclose(found, hidden(llama, unflatten(merged)), rtol=1e-3, atol=1e-4)
    assert jnp.abs(found - hidden(llama, llama.params)).max() > 1e-2


def test_columns_of_a_target_may_begin_further_on(llama, hidden, moved):
    method = VeRA(rank=5, targets="(value|down)$", columns="layers/attention/value:12")
    params, _ = attach(llama.params, method, KEY)
    assert params["vera"]["b"].shape == (5, 12 + 8)
    leaves = flatten(moved) | {"vera/b": params["vera"]["b"]}
    found = flatten(method.reparametrize(unflatten(leaves)))
    value, down = (found[f"layers/{path}/lora_b"][0] for path in ("attention/value", "mlp/down"))
    np.testing.assert_array_equal(value, params["vera"]["b"][:, 12:])
    np.testing.assert_array_equal(down, params["vera"]["b"][:, :16])
    with pytest.raises(InputError, match=r"(?s)not among its targets:.*attention/key"):
        attach(llama.params, VeRA(columns="layers/attention/key:4"), KEY)


def test_the_matrices_are_drawn_from_the_setting_whatever_the_runs_key(llama):
    def matrices(method, key):
        return method.extend(llama.params, key)["vera"]

    first = matrices(METHOD, KEY)
    np.testing.assert_array_equal(first["a"], matrices(METHOD, jax.random.key(1))["a"])
    other = matrices(VeRA(rank=5, targets="(value|down)$", projection_key=1), KEY)
    assert not (first["a"] == other["a"]).any()
    # Uniform up to sqrt(6 / in), in PyTorch's layouts [R, in] and [out, R].
    assert 0.9 < jnp.abs(first["a"]).max() / np.sqrt(6 / 32) <= 1
    assert 0.9 < jnp.abs(first["b"]).max() / np.sqrt(6 / 5) <= 1


def test_layers_share_one_copy_of_the_matrices(llama, moved):
    leaves = flatten(METHOD.reparametrize(moved))
    assert leaves["layers/mlp/down/lora_a"].shape == (1, 32, 5)
    assert leaves["layers/mlp/down/lora_b"].shape == (1, 5, 16)


def test_it_comes_back_with_its_matrices_whether_or_not_they_are_drawn_here(
    llama, hidden, moved, tmp_path
):
    elsewhere = VeRA(rank=5, targets="(value|down)$", projection_key=-1)
    others = moved | {"vera": jax.tree.map(lambda leaf: 2 * leaf, moved["vera"])}
    for method, params in ((METHOD, moved), (elsewhere, others)):
        save_peft(tmp_path / "a", params, llama, method)
        loaded = load_peft(tmp_path / "a", llama)
        expected = hidden(llama, method.reparametrize(params))
        np.testing.assert_array_equal(hidden(llama, loaded), expected)


def test_matrices_from_elsewhere_must_be_among_what_is_saved(llama, moved):
    without = {path: leaf for path, leaf in flatten(moved).items() if "vera_" in path}
    _, leaves = METHOD.to_save(unflatten(without), llama.params)
    np.testing.assert_array_equal(leaves["vera"]["a"], moved["vera"]["a"])
    with pytest.raises(InputError, match="came with an adapter: save vera/a and b too"):
        VeRA(rank=5, projection_key=-1).to_save(unflatten(without), llama.params)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank = 0: expected a whole number, from 1 to"),
        ({"initial": float("nan")}, "initial = nan: expected a finite number"),
        ({"columns": "key:1,"}, "columns 'key:1,' cannot be read: expected paths with numbers"),
        ({"columns": "key"}, "columns 'key' cannot be read"),
        ({"targets": "(query"}, r"targets '\(query' are no regular expression"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        VeRA(**settings)

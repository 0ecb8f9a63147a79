"""PiSSA: a start in the principal part of a weight, and the LoRA that it is saved as."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import LoRA, attach, load_peft, parse_method, save_adapter, save_peft
from fsl_jax.adapt.parts.pissa import principal_part
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


def nearest(matrix, rank):
    left, values, right = np.linalg.svd(np.float64(matrix), full_matrices=False)
    return (left[..., :rank] * values[..., None, :rank]) @ right[..., :rank, :]


@pytest.mark.parametrize("shape", [(60, 40), (2, 40, 60), (5, 3)])
def test_the_principal_part_is_the_nearest_matrix_of_its_rank(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    left, right = principal_part(jnp.asarray(kernel), 3)
    expected = nearest(kernel, 3)
    error = np.linalg.norm(left @ right - kernel) / np.linalg.norm(expected - kernel + 1e-30)
    if min(shape[-2:]) > 3:
        # A little less near than the nearest there is: random matrices are the hardest.
        assert error < 1.001
    else:
        np.testing.assert_allclose(left @ right, kernel, atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(left, axis=-2), np.linalg.norm(right, axis=-1), rtol=1e-4
    )


@pytest.mark.parametrize("scaling", ["standard", "rslora"])
def test_the_model_starts_out_as_the_base_and_its_update_as_its_principal_part(
    llama, hidden, scaling
):
    method = LoRA(rank=3, alpha=5.0, targets="(value|down)$", start="pissa", scaling=scaling)
    params, mask = attach(llama.params, method, KEY, lambda p: hidden(llama, p))
    found = hidden(llama, method.reparametrize(params))
    np.testing.assert_allclose(found, hidden(llama, llama.params), rtol=1e-4, atol=1e-5)
    down = params["layers"]["mlp"]["down"]
    part = method.scale * down["lora_a"] @ down["lora_b"]
    np.testing.assert_allclose(part, nearest(down["kernel"], 3), atol=1e-4)
    trained = {path.rpartition("/")[2] for path, chosen in flatten(mask).items() if chosen}
    assert trained == {"lora_a", "lora_b"}


@pytest.mark.parametrize(("scaling", "alpha"), [("standard", 10.0), ("rslora", 5 * 2**0.5)])
def test_it_is_saved_as_a_lora_of_twice_the_rank(llama, hidden, tmp_path, scaling, alpha, move):
    method = LoRA(rank=3, alpha=5.0, start="pissa", scaling=scaling)
    params = move(*attach(llama.params, method, KEY), scale=0.1)
    expected = hidden(llama, method.reparametrize(params))
    save_peft(tmp_path / "a", params, llama, method)
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert (config["r"], config["peft_type"]) == (6, "LORA")
    assert config["lora_alpha"] == pytest.approx(alpha)
    record = json.loads((tmp_path / "a" / "fsl_jax.json").read_text())
    assert parse_method(record["method"]).rank == 6
    loaded = load_peft(tmp_path / "a", llama)
    np.testing.assert_allclose(hidden(llama, loaded), expected, rtol=1e-4, atol=1e-5)
    assert jnp.abs(expected - hidden(llama, llama.params)).max() > 1e-2


def test_without_its_start_among_the_leaves_that_is_worked_out_again(llama, move):
    method = LoRA(rank=2, start="pissa", layers="last 1")
    params = move(*attach(llama.params, method, KEY), scale=0.1)
    whole = {path: leaf for path, leaf in flatten(params).items() if "lora" in path}
    trained = {path: leaf for path, leaf in whole.items() if path.endswith(("_a", "_b"))}
    plain, leaves = method.to_save(unflatten(trained), llama.params)
    same, others = method.to_save(unflatten(whole), llama.params)
    assert plain == same == LoRA(rank=4, alpha=32.0, layers="last 1")
    found = flatten(leaves)
    assert found.keys() == trained.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, flatten(others)[path])


@pytest.mark.parametrize(
    "text",
    [
        "lora(2, start='pissa', targets='query$')+lora(3, start='pissa', targets='down$')",
        "top_layers(1)+lora(2, start='pissa')",
    ],
)
def test_beside_other_methods_it_is_saved_as_it_computes(llama, hidden, tmp_path, move, text):
    method = parse_method(text)
    params, mask = attach(llama.params, method, KEY)
    params = move(params, mask, scale=0.1)
    expected = hidden(llama, method.reparametrize(params))
    save_peft(tmp_path / "a", params, llama, method)
    found = hidden(llama, load_peft(tmp_path / "a", llama))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # A study saves what was trained alone.
    trained = {path: flatten(params)[path] for path, own in flatten(mask).items() if own}
    save_adapter(tmp_path / "b", unflatten(trained), method, llama, {})
    found = hidden(llama, load_peft(tmp_path / "b", llama))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_rank_above_the_width_is_refused(llama):
    with pytest.raises(InputError, match=r"at most 8 for .*value/lora_a, found 9"):
        attach(llama.params, LoRA(rank=9, targets="value$", start="pissa"), KEY)

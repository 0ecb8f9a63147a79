import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks import stack
from fsl_jax.models.blocks.stack import depth, rematerialized_layers, run_stack

KERNELS = 0.3 * np.random.default_rng(0).standard_normal((4, 5, 5)).astype(np.float32)
X = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, 5)), jnp.float32)


def layer(params, x, number, shift):
    y = jnp.tanh(x @ params["kernel"]) + shift
    return y, (jnp.mean(y), number)


def run(kernels, first=0):
    shifts = jnp.arange(len(kernels), dtype=jnp.float32)
    return run_stack(layer, {"kernel": jnp.asarray(kernels)}, X, first, shifts)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_layers_run_in_order_each_with_its_own_inputs(monkeypatch, platform):
    monkeypatch.setattr(stack, "target_platform", lambda: platform)
    x, (means, numbers) = run(KERNELS, first=3)
    expected = X
    for number, kernel in enumerate(KERNELS):
        expected = jnp.tanh(expected @ kernel) + number
        np.testing.assert_allclose(means[number], jnp.mean(expected), atol=1e-5)
    np.testing.assert_allclose(x, expected, atol=1e-5)
    np.testing.assert_array_equal(numbers, [3, 4, 5, 6])


@pytest.mark.parametrize("layers", [1, 4])
def test_a_leaf_of_one_layer_is_the_same_in_all(layers):
    kernels, shared = jnp.asarray(KERNELS[:layers]), jnp.full((1, 5), 0.5)

    def shifted(params, x, number, inputs):
        return jnp.tanh(x @ params["kernel"]) + params["shift"][None, None], None

    found, _ = run_stack(shifted, {"kernel": kernels, "shift": shared}, X)
    whole = jnp.broadcast_to(shared, (layers, 5))
    expected, _ = run_stack(shifted, {"kernel": kernels, "shift": whole}, X)
    np.testing.assert_array_equal(found, expected)


def test_a_gpu_gets_no_loop_and_a_cpu_gets_one(monkeypatch):
    for platform, has_loop in (("cpu", True), ("gpu", False)):
        monkeypatch.setattr(stack, "target_platform", lambda platform=platform: platform)
        text = jax.jit(lambda kernels: run(kernels)[0]).lower(KERNELS).as_text()
        assert ("stablehlo.while" in text) == has_loop


def test_no_layers_change_nothing():
    x, (means, _) = run(KERNELS[:0])
    np.testing.assert_array_equal(x, X)
    assert means.shape == (0,)
    assert depth({"kernel": KERNELS[:0]}) == 0


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_rematerialized_layers_have_the_same_gradient_from_what_went_in(monkeypatch, platform):
    monkeypatch.setattr(stack, "target_platform", lambda: platform)

    def loss(kernels):
        return jnp.sum(jnp.square(run(kernels)[0]))

    def kept(rematerialized):
        with rematerialized_layers(rematerialized):
            _, pull = jax.vjp(loss, jnp.asarray(KERNELS))
            gradient = jax.jit(jax.grad(loss))(KERNELS)
        return gradient, sum(leaf.size for leaf in jax.tree.leaves(pull))

    (plain, all_kept), (again, less_kept) = kept(False), kept(True)
    np.testing.assert_allclose(again, plain, rtol=1e-5, atol=1e-6)
    assert less_kept < all_kept

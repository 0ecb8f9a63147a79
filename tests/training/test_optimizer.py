"""The optimiser: its schedule, decay and clipping; rate and decay may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.optimizer import learning_rate_schedule, make_optimizer

STEPS = 20
SETTINGS = FitConfig(STEPS, batch_size=4, warmup=0.2, clip_norm=0.5)


def rates(config, peak=1.0):
    # The optimiser casts between the dtypes of steps and rates by itself.
    with jax.numpy_dtype_promotion("standard"):
        return np.array([learning_rate_schedule(peak, config)(s) for s in range(config.steps)])


def test_the_rate_rises_from_above_zero_to_the_peak_and_falls_to_zero_after_the_last_step():
    found = rates(SETTINGS)
    np.testing.assert_allclose(found[:5], [0.2, 0.4, 0.6, 0.8, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found[4:], 1 - np.arange(16) / 16, rtol=1e-6)


@pytest.mark.parametrize(("steps", "warmup"), [(10, 0.0), (3, 0.3)])
def test_without_a_warm_up_the_first_step_has_the_peak(steps, warmup):
    found = rates(FitConfig(steps, batch_size=4, warmup=warmup), peak=3.0)
    np.testing.assert_allclose(found, 3 - 3 * np.arange(steps) / steps, rtol=1e-6)


def gradients():
    """Gradients above and below the norm that they are clipped to."""
    drawn = np.random.default_rng(0).normal(size=(STEPS, 5)).astype(np.float32)
    return drawn * np.float32([[0.05], [2.0]] * (STEPS // 2))


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_takes_the_steps_of_pytorch(weight_decay):
    start = np.linspace(-1, 1, 5, dtype=np.float32)
    weights = torch.nn.Parameter(torch.tensor(start))
    reference = torch.optim.AdamW([weights], lr=0.1, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        reference, lambda step: min((step + 1) / 5, (STEPS - step) / 16)
    )
    expected = []
    for gradient in gradients():
        weights.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_([weights], SETTINGS.clip_norm)
        reference.step()
        schedule.step()
        expected.append(weights.detach().numpy().copy())

    @jax.jit
    def run(learning_rate, weight_decay):
        optimizer = make_optimizer(learning_rate, weight_decay, SETTINGS)

        def step(carry, gradient):
            leaf, state = carry
            with jax.numpy_dtype_promotion("standard"):
                update, state = optimizer.update(gradient, state, leaf)
            return (leaf + update, state), leaf + update

        state = make_optimizer(0.0, 0.0, SETTINGS).init(jnp.asarray(start))
        return jax.lax.scan(step, (jnp.asarray(start), state), jnp.asarray(gradients()))[1]

    np.testing.assert_allclose(run(0.1, weight_decay), expected, atol=3e-6)


def one_step(gradient, weight_decay, leaf):
    optimizer = make_optimizer(0.5, weight_decay, SETTINGS)
    with jax.numpy_dtype_promotion("standard"):
        return optimizer.update(jnp.array(gradient), optimizer.init(leaf), leaf)


def test_weight_decay_alone_shrinks_by_rate_times_decay():
    leaf = jnp.array([2.0, -4.0])
    update, _ = one_step([0.0, 0.0], 0.1, leaf)
    np.testing.assert_allclose(update, -0.2 * 0.5 * 0.1 * leaf, rtol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "clipped"), [([30.0, 40.0], [0.3, 0.4]), ([0.03, 0.04], [0.03, 0.04])]
)
def test_a_gradient_is_scaled_down_to_the_norm_and_never_up(gradient, clipped):
    _, state = one_step(gradient, 0.0, jnp.zeros(2))
    [first_moment] = [leaf for leaf in jax.tree.leaves(state) if leaf.ndim and leaf[0] > 0][:1]
    np.testing.assert_allclose(first_moment, 0.1 * np.array(clipped), rtol=1e-5)

"""AdamW with warm-up, linear decay and gradient clipping; rate and decay may be traced.

Loshchilov and Hutter, 2019, "Decoupled Weight Decay Regularization",
https://arxiv.org/abs/1711.05101.
"""

from typing import Any

import jax
import optax

from fsl_jax.training.fit_config import FitConfig


def make_optimizer(
    learning_rate: jax.Array | float, weight_decay: jax.Array | float, config: FitConfig
) -> optax.GradientTransformation:
    """Make the optimiser of one run.

    Args:
      learning_rate: the peak learning rate, a scalar that may be traced, so that stacked runs can
        differ.
      weight_decay: the weight decay, which may be traced as well.
      config: the config of the program.

    Returns:
      An Optax transformation whose state does not depend on the two values.
    """
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(learning_rate_schedule(learning_rate, config), weight_decay=weight_decay),
    )


def clip_gradients(gradients: Any, config: FitConfig) -> Any:
    """Clip gradients as the optimiser does before its update.

    Args:
      gradients: a tree of gradients.
      config: the config of the program.

    Returns:
      The gradients, whose global norm is at most `config.clip_norm`.
    """
    clip = optax.clip_by_global_norm(config.clip_norm)
    return clip.update(gradients, clip.init(gradients))[0]


def scale_updates(updates: Any, factors: Any) -> Any:
    """Multiply the optimiser's updates by factors, which scales the learning rate.

    Args:
      updates: a tree of updates.
      factors: a tree of numbers of the same structure, or an empty tuple if all are 1.

    Returns:
      The updates.
    """
    if factors == ():
        return updates
    return jax.tree.map(lambda update, factor: update * factor, updates, factors)


def learning_rate_schedule(peak: jax.Array | float, config: FitConfig) -> optax.Schedule:
    """Return a linear rise over the warm-up, then a linear fall to zero after the last step.

    Args:
      peak: the learning rate at the end of the warm-up.
      config: the config of the program.

    Returns:
      A function from the step, counted from 0, to the learning rate.
    """
    warmup = int(config.warmup * config.steps)
    if not warmup:
        return optax.linear_schedule(peak, 0.0 * peak, config.steps)
    # The rate starts above zero, so that the first step changes the parameters.
    rise = optax.linear_schedule(peak / (warmup + 1), peak, warmup)
    fall = optax.linear_schedule(peak, 0.0 * peak, config.steps - warmup)
    return optax.join_schedules([rise, fall], [warmup])

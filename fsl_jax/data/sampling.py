"""Draw the examples of each step of a run."""

import numpy as np
from jaxtyping import Int32

from fsl_jax.errors import InputError


def batch_order(
    seed: int, num_examples: int, batch_size: int, steps: int
) -> Int32[np.ndarray, "{steps} {batch_size}"]:
    """Draw the examples of each step from consecutive shuffled epochs, cut into batches.

    Every batch is full. A batch that reaches the end of an epoch continues in the next epoch, so it
    may have an example twice. A batch that is larger than the data has each example at least
    `batch_size // num_examples` times. The order for more steps begins with the order for fewer.

    Args:
      seed: not negative; the same seed gives the same order.
      num_examples: the number of examples.
      batch_size: B, the number of examples in a step.
      steps: S, the number of steps.

    Returns:
      Indices of examples, int32 `[S, B]`.

    Raises:
      InputError: a number is out of range; the error names all such numbers.
    """
    least = {"seed": (seed, 0), "num_examples": (num_examples, 1)}
    least |= {"batch_size": (batch_size, 1), "steps": (steps, 0)}
    problems = [
        f"{name} is {value}, at least {low}" for name, (value, low) in least.items() if value < low
    ]
    if problems:
        raise InputError(f"no order of batches: {'; '.join(problems)} is needed.")
    generator = np.random.Generator(np.random.PCG64(seed))
    epochs = -(-steps * batch_size // num_examples)
    order = np.empty((epochs, num_examples), np.int32)
    for epoch in range(epochs):
        order[epoch] = generator.permutation(num_examples)
    return order.reshape(-1)[: steps * batch_size].reshape(steps, batch_size)

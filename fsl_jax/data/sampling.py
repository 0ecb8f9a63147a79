"""Which examples each step of a run sees."""

import numpy as np
from jaxtyping import Int32

from fsl_jax.errors import InputError


def batch_order(
    seed: int, num_examples: int, batch_size: int, steps: int
) -> Int32[np.ndarray, "{steps} {batch_size}"]:
    """The examples of each step: one shuffled epoch after the other, cut into batches.

    Every batch is full. A batch that reaches the end of an epoch goes on in the next, so it may
    hold an example twice, and a batch larger than the data holds each example at least
    `batch_size // num_examples` times. More steps continue the order of fewer.

    Args:
      seed: not negative; the same seed gives the same order.
      num_examples: how many there are.
      batch_size: examples a step, B.
      steps: number of steps, S.

    Returns:
      Positions of examples, [S, B].

    Raises:
      InputError: a number is out of range; all that are out of range are named.
    """
    least = {"seed": (seed, 0), "num_examples": (num_examples, 1)}
    least |= {"batch_size": (batch_size, 1), "steps": (steps, 0)}
    wrong = [f"{name} is {got}, at least {low}" for name, (got, low) in least.items() if got < low]
    if wrong:
        raise InputError(f"no order of batches: {'; '.join(wrong)} is needed.")
    generator = np.random.Generator(np.random.PCG64(seed))
    epochs = -(-steps * batch_size // num_examples)
    order = np.empty((epochs, num_examples), np.int32)
    for epoch in range(epochs):
        order[epoch] = generator.permutation(num_examples)
    return order.reshape(-1)[: steps * batch_size].reshape(steps, batch_size)

"""Draw the few-shot splits of a data set, by the rules of its task."""

from fsl_jax.data.examples import Dataset, Split
from fsl_jax.tasks.registry import find_task


def few_shot_split(dataset: Dataset, shots: int, seed: int) -> Split:
    """Draw few examples to train on, and as many others to validate on.

    A split depends on the data and the seed alone, so it is the same for all methods.

    Args:
      dataset: the data set.
      shots: K, at least 1: the number of examples of each class, or what its task has instead.
      seed: not negative; the same seed gives the same split.

    Returns:
      The split.

    Raises:
      InputError: there are too few examples; the error says how many shots fit.
    """
    return find_task(dataset.task).draw(dataset, shots, seed)

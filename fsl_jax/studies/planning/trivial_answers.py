"""The scores of answers that need no model."""

from collections.abc import Sequence

from fsl_jax.data.examples import Dataset, Example
from fsl_jax.tasks.registry import find_task


def trivial_answers(dataset: Dataset, test: Sequence[Example]) -> dict[str, float]:
    """Score the trivial answers of a task, such as the most frequent label.

    Args:
      dataset: the data, whose training part says what is frequent.
      test: the examples that methods are tested on.

    Returns:
      The task's first metric, by the name of the answer: `chance`, `majority` and the like.
    """
    task = find_task(dataset.task)
    metric = task.metrics[0].name
    baselines = task.baselines(dataset.train, test)
    return {name: scores[metric] for name, scores in baselines.items()}

"""The scores of answers that need no model."""

from fsl_jax.data.examples import Dataset
from fsl_jax.tasks.registry import find_task


def trivial_answers(dataset: Dataset) -> dict[str, float]:
    """Score the trivial answers of a task, such as the most frequent label, on the whole test set.

    Args:
      dataset: the data.

    Returns:
      The task's first metric, by the name of the answer: `chance`, `majority` and the like.
    """
    task = find_task(dataset.task)
    metric = task.metrics[0].name
    baselines = task.baselines(dataset.train, dataset.test)
    return {name: scores[metric] for name, scores in baselines.items()}

"""Tasks: what the examples of a data set ask, how few are drawn, and how answers are scored."""

from fsl_jax.tasks.loading import dataset_of_rows, load_dataset
from fsl_jax.tasks.making import make_dataset
from fsl_jax.tasks.registry import AUTO, TASKS, find_task
from fsl_jax.tasks.splitting import few_shot_split
from fsl_jax.tasks.task import Metric, Table, Task

__all__ = [
    "AUTO",
    "TASKS",
    "Metric",
    "Table",
    "Task",
    "dataset_of_rows",
    "few_shot_split",
    "find_task",
    "load_dataset",
    "make_dataset",
]

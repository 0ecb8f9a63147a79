"""All tasks by their names."""

from fsl_jax.errors import unknown_name
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.generation import Generation
from fsl_jax.tasks.multicolumn import Multicolumn
from fsl_jax.tasks.multilabel import Multilabel
from fsl_jax.tasks.multiple_choice import MultipleChoice
from fsl_jax.tasks.question_answering import QuestionAnswering
from fsl_jax.tasks.regression import Regression
from fsl_jax.tasks.relation import Relation
from fsl_jax.tasks.tagging import Tagging
from fsl_jax.tasks.task import Task

AUTO = "auto"
"""The name for the task that the columns of the data show."""

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        QuestionAnswering(),
        MultipleChoice(),
        Relation(),
        Tagging(),
        Multilabel(),
        Multicolumn(),
        Regression(),
        Classification(),
        Generation(),
    )
}
"""The tasks; where columns could serve several of them, the first one is meant."""


def find_task(name: str) -> Task:
    """Return a task by its name.

    Args:
      name: its name in flags.

    Returns:
      The task.

    Raises:
      InputError: there is no such task; the error suggests similar names.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]

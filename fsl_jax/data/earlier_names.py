"""Names that were in this layer before there were tasks, which are a layer above.

Scripts that import them from here go on working. They are looked up when they are asked for, since
tasks import this layer.
"""

from collections.abc import Callable
from typing import Any


def names_of_tasks(module: str, *names: str) -> Callable[[str], Any]:
    """Make a module's `__getattr__`, which finds names in `fsl_jax.tasks`.

    Args:
      module: the name of the module.
      names: the names that the module had.

    Returns:
      A function from one of these names to its value; for others it raises an AttributeError, as
      Python does.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        from fsl_jax import tasks

        return getattr(tasks, name)

    return find

"""What a method is: the leaves it adds, and the rules for those it trains."""

from typing import ClassVar, Protocol, runtime_checkable

import jax

from fsl_jax.adapt.tree import Params


@runtime_checkable
class Method(Protocol):
    """A way of adapting, as a frozen dataclass of its settings.

    Attributes:
      name: the method's name in flags and results.
      rules: regular expressions for the paths of the leaves that train. A task head trains too.
      settings: regular expressions for added leaves that are frozen and may differ between the runs
        of a program, such as a scale.
      learning_rates: the learning rates to choose from when the user names none.
    """

    name: ClassVar[str]
    learning_rates: ClassVar[tuple[float, ...]]

    @property
    def rules(self) -> tuple[str, ...]: ...

    @property
    def settings(self) -> tuple[str, ...]: ...

    def extend(self, params: Params, key: jax.Array) -> Params:
        """The parameters with the method's leaves beside the weights that they adapt.

        Args:
          params: the parameter tree, which is left as it is.
          key: a threefry key for what is drawn.

        Returns:
          A new tree that shares the leaves of `params`.
        """
        ...

"""What a method is: the leaves it adds, and the rules for those it trains."""

from typing import Any, ClassVar, Protocol, runtime_checkable

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
      structure: settings that shape the tree; runs that are stacked have the same ones. A setting
        that only makes a leaf larger, such as a rank, is none of them.
      learning_rates: the learning rates to choose from when the user names none.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """See the class."""

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """See the class."""

    @property
    def rules(self) -> tuple[str, ...]:
        """See the class."""

    @property
    def settings(self) -> tuple[str, ...]:
        """See the class."""

    @property
    def structure(self) -> tuple[Any, ...]:
        """See the class."""

    def extend(self, params: Params, key: jax.Array) -> Params:
        """The parameters with the method's leaves beside the weights that they adapt.

        Args:
          params: the parameter tree, which is left as it is.
          key: a threefry key for what is drawn.

        Returns:
          A new tree that shares the leaves of `params`.
        """
        ...

"""What a method is: the leaves it adds, the rules for those it trains, and what it does beside."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.models.pretrained import Pretrained

ONLY_TRAINS = {"only_trains": True}
"""Metadata of a setting's field that makes no difference to an adapter once it is trained."""


class Method:
    """A way of adapting; a method is a subclass that is a frozen dataclass of its settings.

    Most methods are their rules and `extend` alone. What else there is are pure functions, of which
    the numbers that differ between stacked runs are leaves, not attributes.

    Attributes:
      name: the method's name in flags and results.
      rules: regular expressions for the paths of the leaves that train. A task head trains too.
      frozen_rules: regular expressions for added leaves that are frozen and may differ between
        the runs of a program, such as a scale.
      saved_rules: regular expressions for those frozen leaves that are saved with the trained ones.
      learning_rates: the learning rates to choose from when the user names none.
      paper: who described it, the year, and where to read it.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    rules: ClassVar[tuple[str, ...]]
    frozen_rules: ClassVar[tuple[str, ...]] = ()
    saved_rules: ClassVar[tuple[str, ...]] = ()
    learning_rates: ClassVar[tuple[float, ...]]
    paper: ClassVar[str] = "-"

    @property
    def structure(self) -> tuple[Any, ...]:
        """Settings that shape the tree; runs that are stacked have the same ones.

        A setting that only makes a leaf larger, such as a rank, is none of them.
        """
        return ()

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """What the learning rate of leaves is multiplied by, by regular expressions of paths."""
        return {}

    @property
    def positions(self) -> int:
        """How many positions of the model are taken beside a text."""
        return 0

    def unused_parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """How many numbers of the trained leaves are padding that no step moves.

        Args:
          shapes: of the trained leaves of one run, by path.

        Returns:
          Their number, which counts of what is trained leave out.
        """
        return 0

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> "Method":
        """The method with what its start takes from a tokenizer, which `extend` does not see.

        Args:
          pretrained: the base model.
          words: a word for each class.

        Returns:
          A method that can extend parameters.
        """
        return self

    def extend(self, params: Params, key: jax.Array) -> Params:
        """The parameters with the method's leaves beside the weights that they adapt.

        Args:
          params: the parameter tree, which is left as it is.
          key: a threefry key for what is drawn.

        Returns:
          A new tree that shares the leaves of `params`.
        """
        return params

    def reparametrize(self, params: Params) -> Params:
        """What the model reads, computed inside the loss from what is trained.

        Args:
          params: the whole tree. Where what is computed is there already, as in a loaded adapter,
            the tree is returned as it is.

        Returns:
          The tree for the model.
        """
        return params

    def penalty(self, params: Params) -> Float[Array, ""] | None:
        """What is added to the loss, of the whole tree as it is trained; None for nothing."""
        return None

    def initial_state(self, trainable: Params) -> Any:
        """What `after_step` is given before the first step: a tree of arrays."""
        return ()

    def after_step(
        self,
        trainable: Params,
        frozen_leaves: Params,
        gradients: Params,
        method_state: Any,
        step: Int[Array, ""],
        steps: int,
    ) -> tuple[Params, Any]:
        """What happens after the optimiser's step.

        Args:
          trainable: the trained leaves, stepped; None elsewhere.
          frozen_leaves: the leaves that `frozen_rules` names; None elsewhere.
          gradients: of the trained leaves, clipped as the optimiser had them; None elsewhere.
          method_state: what the last call returned.
          step: steps taken before this one.
          steps: of the whole training.

        Returns:
          The trained leaves, and what the next call gets.
        """
        return trainable, method_state

    def finish(self, leaves: Params) -> Params:
        """What is kept of the trained leaves once the training is over.

        Args:
          leaves: the trained leaves of one run, at their own shapes, a task head among them.

        Returns:
          The leaves that are saved. From them and `extend`, `reparametrize` gives the tree.
        """
        return leaves

    def to_save(self, leaves: Params, base: Params) -> tuple["Method", Params]:
        """What an adapter is saved as, where that is another method's.

        Args:
          leaves: what `finish` gave; the method's settings may be among them.
          base: the parameters of the base model.

        Returns:
          The method, and its leaves.
        """
        return self, leaves

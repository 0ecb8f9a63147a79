"""The base class of methods: which leaves a method adds, which it trains, and what else it does."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.parts.intermediate_leaf import IntermediateLeaf
from fsl_jax.adapt.tree import Params
from fsl_jax.models.pretrained import Pretrained

ONLY_TRAINS = {"only_trains": True}
"""Metadata of a setting's field that makes no difference to an adapter once it is trained."""


class Method:
    """A way of adapting a model. A method is a subclass that is a frozen dataclass of its settings.

    To write a method:

    1. Write one file with the subclass. Give it `name`, `rules` and `learning_rates`.
    2. Add leaves to the parameters in `extend`, beside the weights that they adapt. The table in
       `fsl_jax/models/blocks/added_leaves.py` lists the kinds of leaves that the model's layers
       read. Make the start the base model if you can: what is added should change nothing at first.
    3. Name in `frozen_rules` the added leaves that are not trained.
    4. Register the class in `fsl_jax/adapt/methods/registry.py`.

    Most methods are no more than this. Every other member has a default that does nothing.

    Several runs of one method are trained at once: their leaves are stacked, and one object of the
    class stands for all of them. So all functions must be pure, and whatever differs between the
    runs must be a leaf and not an attribute. Leaves of different sizes are padded with zeros.

    The order of the calls: `resolve`, `extend`, `initial_state`; then in each step `reparametrize`
    and `penalty` inside the loss, and `after_step` after the optimiser; at last `finish` and
    `to_save`. An adapter that is loaded goes through `extend` and `reparametrize`.

    Attributes:
      name: the name of the method in flags and results.
      rules: regular expressions, searched for in the paths of leaves, for those that are trained. A
        task head is trained as well, whatever the rules are.
      frozen_rules: regular expressions for added leaves that are frozen and may differ between the
        runs of a program, such as a scale. Whatever no rule names is the base's, and is shared.
      saved_rules: regular expressions for frozen leaves that are saved with the trained ones. The
        others follow from the settings: `extend` makes them again.
      intermediate_leaves: the kinds of added leaves that `reparametrize` replaces, so that the
        model never reads them.
      learning_rates: the learning rates to choose from when the user names none.
      paper: the authors, the year, and where to read the paper.
      trains: whether anything is trained; a method that trains nothing has no leaves and no rates.
      default_formulation: the formulation that `auto` means for the method; `auto` leaves it to the
        model.
      alone_because: why the method cannot be joined with others; empty if it can.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    rules: ClassVar[tuple[str, ...]]
    frozen_rules: ClassVar[tuple[str, ...]] = ()
    saved_rules: ClassVar[tuple[str, ...]] = ()
    intermediate_leaves: ClassVar[tuple[IntermediateLeaf, ...]] = ()
    learning_rates: ClassVar[tuple[float, ...]]
    paper: ClassVar[str] = "-"
    trains: ClassVar[bool] = True
    default_formulation: ClassVar[str] = "auto"
    alone_because: ClassVar[str] = ""

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that shape the tree; runs that are stacked must have the same ones.

        A setting that only makes a leaf larger, such as a rank, does not belong here.
        """
        return ()

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """Factors of the learning rate, by regular expressions for the paths of leaves."""
        return {}

    @property
    def positions(self) -> int:
        """The number of the model's positions that the method takes from a text."""
        return 0

    @property
    def scales(self) -> Mapping[str, float]:
        """The values that follow from the settings, by regular expressions for the paths of leaves.

        A leaf that is named here has this value, or zero in a layer that is not adapted. Loading an
        adapter of PEFT's compares it with what PEFT's config says.
        """
        return {}

    def unused_parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Count the numbers of the trained leaves that are padding, which no step moves.

        Args:
          shapes: the shapes of the trained leaves of one run, by path.

        Returns:
          Their number. Counts of trained parameters leave them out.
        """
        return 0

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> "Method":
        """Look up what the start of the training takes from a tokenizer, which `extend` lacks.

        Args:
          pretrained: the base model.
          words: a word for each class.

        Returns:
          A method that can extend parameters.
        """
        return self

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add the method's leaves beside the weights that they adapt.

        Draw each leaf from a key of its own (`key_of(key, path)`), so that it does not depend on
        which others there are.

        Args:
          params: the parameter tree. It is left as it is.
          key: a threefry key for what is drawn.

        Returns:
          A new tree that shares the leaves of `params`.
        """
        return params

    def reparametrize(self, params: Params) -> Params:
        """Compute what the model reads from what is trained. This runs inside the loss.

        Args:
          params: the whole tree. In a loaded adapter what is computed may be there already; return
            the tree as it is then.

        Returns:
          The tree for the model.
        """
        return params

    def penalty(self, params: Params) -> Float[Array, ""] | None:
        """Return a term to add to the loss, or None for nothing.

        Args:
          params: the whole tree, before `reparametrize`.

        Returns:
          A float32 scalar, or None.
        """
        return None

    def initial_state(self, trainable: Params) -> Any:
        """Return the method state before the first step: what `after_step` keeps between steps.

        It is stacked over runs and saved in checkpoints with the optimiser's state.

        Args:
          trainable: the trained leaves of one run; None elsewhere.

        Returns:
          A tree of arrays, whose structure and shapes stay the same in all steps.
        """
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
        """Change the trained leaves after the optimiser's step, and update the method state.

        It runs inside the compiled program for one run at a time, under `jax.vmap`: decide by
        `jnp.where`, not by `if`.

        Args:
          trainable: the trained leaves after the step; None elsewhere.
          frozen_leaves: the leaves that `frozen_rules` names; None elsewhere.
          gradients: the gradients of the trained leaves, clipped as the optimiser got them; None
            elsewhere.
          method_state: what the last call returned, at first `initial_state`.
          step: the number of steps taken before this one, int32.
          steps: the number of steps of the whole training.

        Returns:
          The trained leaves, and the method state for the next call.
        """
        return trainable, method_state

    def finish(self, leaves: Params) -> Params:
        """Return what is kept of the trained leaves once the training is over.

        Args:
          leaves: the trained leaves of one run, without padding, a task head among them.

        Returns:
          The leaves that are saved. `reparametrize` must get the same model from them and `extend`.
        """
        return leaves

    def to_save(self, leaves: Params, base: Params) -> tuple["Method", Params]:
        """Return the method and the leaves to save an adapter as, if they are another method's.

        Args:
          leaves: the result of `finish`. Frozen leaves may be among them.
          base: the parameters of the base model.

        Returns:
          The method, and its leaves.
        """
        return self, leaves

"""The base class of methods: which leaves a method adds, which it trains, and what else it does."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.models.blocks.intermediate_leaves import IntermediateLeaf, declare
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.ranges import require_in_range, whole

ONLY_TRAINS = {"only_trains": True}
"""Metadata for the field of a setting that no longer matters once the adapter is trained."""

SIZE = whole(1, 2**20)
"""The range of a rank, a width or a length; no model has a wider layer."""


class Method:
    """A way of adapting a model. A method is a subclass that is a frozen dataclass of its settings.

    To write a method:

    1. Write one file with the subclass. Give it `name`, `rules` and `learning_rates`, and make the
       fields of numbers with `in_range`.
    2. Add leaves to the parameters in `extend`, beside the weights that they adapt. The table in
       `fsl_jax/models/blocks/added_leaves.py` lists the kinds of leaves that the model's layers
       read. If you can, choose initial values that change nothing, so that training starts from the
       base model.
    3. Name in `frozen_rules` the added leaves that are not trained.
    4. Register the class in `fsl_jax/adapt/methods/registry.py`.

    Most methods need no more than this. Every other member has a default that does nothing.

    Several runs of one method are trained at once. Their leaves are stacked, and one method object
    serves all of them. So all functions must be pure, and a value that differs between the runs
    must be a leaf, not an attribute. Leaves of different sizes are padded with zeros.

    The methods are called in this order: `resolve`, `extend` and `initial_state` before training;
    in each step `reparametrize` and `penalty` inside the loss, then `after_step` after the
    optimiser; `finish` and `to_save` after training. Loading an adapter calls `extend` and
    `reparametrize`.

    Attributes:
      name: the name of the method in flags and results.
      rules: regular expressions for the paths of the trained leaves. A task head is always trained
        as well.
      frozen_rules: regular expressions for added leaves that are frozen and may differ between the
        runs of a program, such as a scale. A leaf that no rule matches belongs to the base model
        and is shared.
      saved_rules: regular expressions for frozen leaves that are saved with the trained ones.
        `extend` makes the other frozen leaves again from the settings.
      intermediate_leaves: the kinds of added leaves that `reparametrize` replaces; the model never
        reads them.
      learning_rates: the learning rates to choose from when the user names none.
      paper: the authors, the year and the URL of the paper.
      trains: whether anything is trained; a method that trains nothing has no leaves and no rates.
      default_formulation: the formulation that `auto` stands for with this method; the value `auto`
        lets the model decide.
      alone_because: the reason why the method cannot be joined with others; empty if it can be.
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

    def __post_init__(self):
        require_in_range(self, f"{self.name}: settings out of range:")

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        declare(vars(cls).get("intermediate_leaves", ()))

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that shape the parameter tree; they must be equal in stacked runs.

        A setting that only changes the size of a leaf, such as a rank, does not belong here.
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
        """The leaf values that follow from the settings, by regular expressions for paths.

        A leaf that matches has this value, or zero in a layer that is not adapted. When a PEFT
        adapter is loaded, the value is compared with PEFT's config.
        """
        return {}

    def unused_parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Count the elements of the trained leaves that are only padding and never change.

        Args:
          shapes: the shapes of the trained leaves of one run, by path.

        Returns:
          Their number, which counts of trained parameters leave out.
        """
        return 0

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> "Method":
        """Look up the tokens that `extend` needs, since `extend` has no tokenizer.

        Args:
          pretrained: the base model.
          words: a word for each class.

        Returns:
          A method whose `extend` can be called.
        """
        return self

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add the method's leaves beside the weights that they adapt.

        Draw each leaf from its own key, `key_of(key, path)`, so that it does not depend on the
        other leaves.

        Args:
          params: the parameter tree, which is not changed.
          key: a threefry key for the leaves that are drawn.

        Returns:
          A new tree that shares the leaves of `params`.
        """
        return params

    def reparametrize(self, params: Params) -> Params:
        """Compute the leaves that the model reads from the trained leaves, inside the loss.

        Args:
          params: the whole tree. A loaded adapter may already have the computed leaves; then return
            the tree unchanged.

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
        """Return the initial method state, which `after_step` updates in each step.

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
        """Change the trained leaves after the optimiser step, and update the method state.

        This runs inside the compiled program under `jax.vmap`, as if for one run: branch with
        `jnp.where`, not `if`.

        Args:
          trainable: the trained leaves after the step; None elsewhere.
          frozen_leaves: the leaves that `frozen_rules` names; None elsewhere.
          gradients: the clipped gradients of the trained leaves, as the optimiser got them; None
            elsewhere.
          method_state: the state from the last call; in the first call that of `initial_state`.
          step: the number of steps taken before this one, int32.
          steps: the number of steps of the whole training.

        Returns:
          The trained leaves, and the method state for the next call.
        """
        return trainable, method_state

    def finish(self, leaves: Params) -> Params:
        """Return the leaves to keep after training.

        Args:
          leaves: the trained leaves of one run, without padding, including those of a task head.

        Returns:
          The leaves to save. From these and the leaves of `extend`, `reparametrize` must compute
          the same model.
        """
        return leaves

    def to_save(self, leaves: Params, base: Params) -> tuple["Method", Params]:
        """Return the method and the leaves to save, which may be those of another method.

        Args:
          leaves: the result of `finish`, which may include frozen leaves.
          base: the parameters of the base model.

        Returns:
          The method, and its leaves.
        """
        return self, leaves

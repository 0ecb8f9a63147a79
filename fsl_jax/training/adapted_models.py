"""Adapted models, which share a base and differ in some leaves."""

import dataclasses
import functools

import jax

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params


@dataclasses.dataclass(frozen=True, eq=False)
class AdaptedModels:
    """The parameters of N adapted models of one base, such as those of stacked runs.

    Attributes:
      method: the method of any of the models; they differ in leaves only.
      trainable: trainable leaves `[N, ...]`.
      frozen_leaves: frozen leaves that differ between models, `[N, ...]`.
      shared: the frozen base, held once for all models.
    """

    method: Method
    trainable: Params
    frozen_leaves: Params
    shared: Params

    @property
    def count(self) -> int:
        """N, the number of models."""
        size: int = jax.tree.leaves(self.trainable)[0].shape[0]
        return size

    @property
    def shapes(self) -> Params:
        """The shapes of one model's parameters, as the model reads them."""
        own = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype),
            (self.trainable, self.frozen_leaves),
        )
        join = functools.partial(join_leaves, self.method)
        shapes: Params = jax.eval_shape(join, *own, self.shared)
        return shapes


def join_leaves(method: Method, trainable: Params, frozen_leaves: Params, shared: Params) -> Params:
    """Join the leaves of one model with the base, as the model reads them.

    Args:
      method: the method of the model.
      trainable: its trainable leaves.
      frozen_leaves: its own frozen leaves.
      shared: the frozen base.

    Returns:
      The parameters.
    """
    return method.reparametrize(combine(trainable, frozen_leaves, shared))

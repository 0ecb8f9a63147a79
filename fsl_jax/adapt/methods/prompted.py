"""Methods that only prompt the base model and train nothing: `zero_shot` and `icl`."""

import dataclasses
from typing import ClassVar

import jax

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError


class Prompted(Method):
    """A method that trains nothing and prompts the model.

    Attributes:
      has_demonstrations: whether the prompt has training examples before the query.
    """

    trains: ClassVar[bool] = False
    rules: ClassVar[tuple[str, ...]] = ()
    learning_rates: ClassVar[tuple[float, ...]] = ()
    alone_because: ClassVar[str] = "it trains nothing"
    has_demonstrations: ClassVar[bool]

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Raise an error: the method has no parameters, so it cannot be attached or saved."""
        raise InputError(f"{self.name} trains nothing, so there is nothing to add to the model")


@dataclasses.dataclass(frozen=True)
class ZeroShot(Prompted):
    """Prompts the model with each text, without examples."""

    name: ClassVar[str] = "zero_shot"
    paper: ClassVar[str] = "Brown et al. 2020, https://arxiv.org/abs/2005.14165"
    has_demonstrations: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class InContext(Prompted):
    """Prompts the model with each text after labelled examples of the split."""

    name: ClassVar[str] = "icl"
    paper: ClassVar[str] = "Brown et al. 2020, https://arxiv.org/abs/2005.14165"
    has_demonstrations: ClassVar[bool] = True

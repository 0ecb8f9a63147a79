"""The kinds of adapters that PEFT has, by its own words for them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.method import Method
from fsl_jax.adapt.peft.lora import read_lora, write_lora
from fsl_jax.adapt.peft.modules import has_layers_for
from fsl_jax.models.families import Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]


class Kind(NamedTuple):
    """A kind of adapter.

    Attributes:
      peft_type: PEFT's word for it in `adapter_config.json`.
      method: the method whose adapters are of this kind.
      serves: `serves(paths, config)`: whether PEFT has what these saved leaves adapt.
      write: `write(leaves, method, pretrained)` gives the tensors by PEFT's names, and the values
        of `adapter_config.json`.
      read: `read(values, tensors, pretrained, source)`, its inverse, gives the method and the
        leaves by path, those among them that `method.settings` names. It raises an `InputError`
        that lists all that is wrong.
    """

    peft_type: str
    method: type[Method]
    serves: Callable[[Iterable[str], Config], bool]
    write: Callable[[Mapping[str, np.ndarray], Any, Pretrained], tuple[Leaves, dict[str, Any]]]
    read: Callable[
        [Mapping[str, Any], Mapping[str, np.ndarray], Pretrained, epath.PathLike],
        tuple[Method, Leaves],
    ]


KINDS: tuple[Kind, ...] = (Kind("LORA", LoRA, has_layers_for, write_lora, read_lora),)


def kind_of_method(method: Method, paths: Iterable[str], config: Config) -> Kind | None:
    """The kind that a method's adapter is written as; None where PEFT has none for it.

    Args:
      method: the method.
      paths: of the leaves that are saved.
      config: of the base model.

    Returns:
      The kind.
    """
    paths = list(paths)
    fitting = (kind for kind in KINDS if type(method) is kind.method)
    return next((kind for kind in fitting if kind.serves(paths, config)), None)


def kind_of_config(values: Mapping[str, Any]) -> Kind | None:
    """The kind that an `adapter_config.json` names; None for one that is not known."""
    return next((kind for kind in KINDS if kind.peft_type == values.get("peft_type")), None)

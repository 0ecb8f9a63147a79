"""A kind of adapter: the parts of writing and reading that all kinds share."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from etils import epath

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.peft.brought import take_brought
from fsl_jax.adapt.peft.header import header, header_problems
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

Leaves = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class AdapterKind:
    """A kind of adapter that PEFT has.

    Attributes:
      peft_type: PEFT's name for it in `adapter_config.json`.
      method: the method whose adapters are of this kind.
      serves: `serves(paths, config)` returns True if PEFT can store these saved leaves.
      to_peft: `to_peft(leaves, method, pretrained)` returns the tensors by PEFT's names, and the
        fields of the config besides its header.
      from_peft: `from_peft(reader)`, its inverse, returns the method and the leaves by path,
        including those that `method.frozen_rules` matches.
      fields: the fields of the config, besides those of the header, that are read or do not change
        the output of a saved adapter.
      readable: a sentence that says which adapters of this kind can be read.
    """

    peft_type: str
    method: type[Method]
    serves: Callable[[Iterable[str], Config], bool]
    to_peft: Callable[[Mapping[str, np.ndarray], Any, Pretrained], tuple[Leaves, dict[str, Any]]]
    from_peft: Callable[[AdapterReader], tuple[Method, Leaves]]
    fields: frozenset[str]
    readable: str

    def write(
        self, leaves: Mapping[str, np.ndarray], method: Method, pretrained: Pretrained
    ) -> tuple[Leaves, dict[str, Any]]:
        """Return a PEFT adapter.

        Args:
          leaves: the trained leaves by path.
          method: the method.
          pretrained: the base model.

        Returns:
          The tensors by PEFT's names, and the values of `adapter_config.json`.
        """
        tensors, fields = self.to_peft(leaves, method, pretrained)
        beginning = header(self.peft_type, pretrained) | {"inference_mode": True}
        return tensors, beginning | fields

    def read(
        self,
        values: Mapping[str, Any],
        tensors: Mapping[str, np.ndarray],
        pretrained: Pretrained,
        source: epath.PathLike,
    ) -> tuple[Any, Leaves]:
        """Return the method and the leaves of a PEFT adapter.

        Args:
          values: the values of `adapter_config.json`.
          tensors: the tensors by PEFT's names.
          pretrained: the base model.
          source: the adapter, for errors.

        Returns:
          The method, and the leaves by path, float32.

        Raises:
          InputError: the config is of another kind, needs unsupported features, or names missing
            modules; or tensors are unknown, missing, duplicate, or of the wrong shape. The error
            lists all problems.
        """
        reader = AdapterReader(values, tensors, pretrained, source, self.readable)
        reader.report(header_problems(values, self.peft_type, self.fields))
        reader, brought = take_brought(reader)
        method, leaves = self.from_peft(reader)
        reader.finish()
        return method, leaves | brought

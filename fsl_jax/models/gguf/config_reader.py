"""The sizes that the metadata of a GGUF file state of the model in it."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.tensors.tensor_map import StoredTensor

_EMBEDDING = "token_embd.weight"


class GGUFConfigReader(ConfigReader):
    """The metadata under the name of the architecture, without it.

    Attributes:
      architecture: of the model, as `general.architecture`.
      values: what the metadata say of it.
    """

    def __init__(self, source: str, metadata: Mapping[str, Any]):
        self.architecture = str(metadata.get("general.architecture"))
        prefix = f"{self.architecture}."
        self.values = {
            key.removeprefix(prefix): value
            for key, value in metadata.items()
            if key.startswith(prefix)
        }
        super().__init__(f"{source} ({prefix}* metadata)", self.values)

    def rows(self, tensors: Mapping[str, StoredTensor], name: str = _EMBEDDING) -> int:
        """How many rows a tensor has, which the metadata may not state."""
        if name not in tensors:
            self.problem(name, None, "a tensor of that name")
            return 1
        return tensors[name].shape[0]

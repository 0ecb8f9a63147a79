"""Read the sizes of a model from the metadata of a GGUF file."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.tensors.stored import StoredTensor

_EMBEDDING = "token_embd.weight"


class GGUFConfigReader(ConfigReader):
    """A reader of the metadata of the model's architecture, by keys without its prefix.

    Attributes:
      architecture: the model's architecture, the value of `general.architecture`.
      values: the metadata whose keys begin with the architecture's name and a dot.
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
        """Return the number of rows of a tensor, for a size that the metadata may lack."""
        if name not in tensors:
            self.problem(name, None, "a tensor of that name")
            return 1
        return tensors[name].shape[0]

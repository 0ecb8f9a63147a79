"""Read the sizes of a model from the metadata of a GGUF file."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.gguf.known_keys import HARMLESS, NEUTRAL
from fsl_jax.models.tensors.stored import StoredTensor

_EMBEDDING = "token_embd.weight"
# The number of layers, and the keys that may have a number for each of them.
_LAYERS = "block_count"
_PER_LAYER = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
_SHOWN_ITEMS = 8


class GGUFConfigReader(ConfigReader):
    """A reader of the metadata of the model's architecture, by keys without its prefix.

    Attributes:
      architecture: the model's architecture, the value of `general.architecture`.
      values: the metadata whose keys begin with the architecture's name and a dot; arrays are
        lists.
      tensors: the file's tensors by name.
    """

    def __init__(
        self, source: str, metadata: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
    ):
        self.architecture = str(metadata.get("general.architecture"))
        self.tensors = tensors
        prefix = f"{self.architecture}."
        self.values = {
            key.removeprefix(prefix): value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in metadata.items()
            if key.startswith(prefix)
        }
        self._read: set[str] = set()
        super().__init__(f"{source} ({prefix}* metadata)", self.values, tensors)

    def factor(self, name: str) -> float | None:
        """Return a number above 0, or None if the key is missing or 0."""
        value = self._value(name, None)
        return None if value is None or value == 0 else self.number(name)

    def rows(self, name: str = _EMBEDDING) -> int:
        """Return the number of rows of a tensor, for a size that the metadata may lack."""
        if name not in self.tensors:
            self.problem(name, None, "a tensor of that name")
            return 1
        return self.tensors[name].shape[0]

    def expect_same_layers(self) -> None:
        """Replace arrays with a number for each layer by the number, which must be the same."""
        layers = self.values.get(_LAYERS)
        for name in _PER_LAYER:
            value = self.values.get(name)
            if not isinstance(value, list):
                continue
            if len(value) != layers or len(set(map(repr, value))) != 1:
                self.problem(name, value, f"the same number for each of {layers} layers")
                self.values[name] = 1
            else:
                self.values[name] = value[0]

    def problem(self, name: str, value: Any, expected: str) -> None:
        """Record that a key does not have an expected value; long arrays are cut."""
        if isinstance(value, list) and len(value) > _SHOWN_ITEMS:
            value = [*value[:_SHOWN_ITEMS], f"… {len(value)} items"]
        super().problem(name, value, expected)

    def finish(self, unused: str = "") -> None:
        """Raise one error for all problems and for all keys that would be passed over.

        Args:
          unused: the beginning of keys that mean nothing in this family.

        Raises:
          InputError: there are problems, or keys that may change what the model computes and that
            nothing has read.
        """
        for name in sorted(self.values.keys() - self._read - HARMLESS.keys()):
            value, neutral = self.values[name], NEUTRAL.get(name, ())
            if not (unused and name.startswith(unused)) and value not in neutral:
                choice = "".join(f"{each!r} or " for each in neutral)
                self.problem(name, value, f"{choice}no such key, which is not supported")
        super().finish()

    def _value(self, name: str, default: Any) -> Any:
        self._read.add(name)
        return super()._value(name, default)


def multi_head_sizes(reader: GGUFConfigReader) -> dict[str, int]:
    """Read the sizes that models with plain multi-head attention share.

    Args:
      reader: a reader of the file's metadata, which collects the problems.

    Returns:
      Arguments of `MultiHeadConfig`.
    """
    layers = reader.layers(_LAYERS)
    reader.expect_same_layers()
    width, heads = reader.size("embedding_length"), reader.size("attention.head_count")
    if width % heads:
        reader.problem("attention.head_count", heads, f"a divisor of embedding_length, {width}")
    reader.expect("attention.head_count_kv", heads)
    for name in ("attention.key_length", "attention.value_length"):
        reader.expect(name, width // heads)
    return {
        "vocab_size": reader.rows(),
        "hidden_size": width,
        "num_layers": layers,
        "num_heads": heads,
    }

"""Sizes in the metadata of a GGUF file."""

import dataclasses

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.config_reader import GGUFConfigReader

METADATA = {"general.architecture": "llama", "llama.block_count": 3, "gemma.block_count": 5}


@dataclasses.dataclass
class Tensor:
    """A tensor in memory, in place of one in a file."""

    shape: tuple[int, ...]

    def load(self):
        return np.zeros(self.shape, np.float32)


def test_keys_are_read_under_the_name_of_the_architecture():
    reader = GGUFConfigReader("model.gguf", METADATA, {})
    assert reader.architecture == "llama"
    assert reader.values == {"block_count": 3}
    assert reader.integer("block_count") == 3


def test_rows_of_a_tensor_stand_for_a_size_that_is_not_stated():
    tensors = {"token_embd.weight": Tensor((40, 8))}
    reader = GGUFConfigReader("model.gguf", METADATA, tensors)
    assert reader.integer("block_count") == 3
    assert reader.rows() == 40
    reader.finish()
    reader.rows("other.weight")
    reader.integer("head_count")
    with pytest.raises(InputError, match=r"(?s)llama\.\* metadata.*other\.weight.*head_count"):
        reader.finish()

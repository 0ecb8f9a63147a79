"""GGUF files: weights, sizes and tokenizer in one file, converted once and then cached."""

from pathlib import Path

import numpy as np

from fsl_jax.errors import unknown_name
from fsl_jax.models.checkpoints.checkpoint import Checkpoint
from fsl_jax.models.checkpoints.weights_cache import cached_weights
from fsl_jax.models.families.gguf_registry import GGUF_FAMILIES
from fsl_jax.models.families.registry import parameter_shapes
from fsl_jax.models.gguf.reader import read_gguf
from fsl_jax.models.tensors.tensor_map import StoredLeaf, read_leaves

# Raised whenever the leaves that are made from the same file change.
_VERSION = "llama-1"


def read_gguf_checkpoint(path: Path) -> Checkpoint:
    """Reads a model from a GGUF file, from the cache where it has been read before.

    Args:
      path: the file.

    Returns:
      The checkpoint, its leaves in float32.

    Raises:
      InputError: the file is damaged, the architecture is not known, or the weights do not fit
        the metadata.
    """
    # Imported here: transformers takes most of a second, and models without files do not need it.
    from fsl_jax.models.gguf.tokenizer import gguf_tokenizer
    from fsl_jax.models.gguf.vocabulary import gguf_end_tokens

    file = read_gguf(path)
    architecture = str(file.metadata.get("general.architecture"))
    if architecture not in GGUF_FAMILIES:
        raise unknown_name("GGUF architecture", architecture, GGUF_FAMILIES)
    family = GGUF_FAMILIES[architecture]
    config = family.config(str(path), file.metadata, file.tensors)

    def build() -> dict[str, np.ndarray]:
        table = family.tensor_map(config)
        leaves = read_leaves(str(path), file.tensors, table, parameter_shapes(config))
        return {name: leaf.load() for name, leaf in leaves}

    weights = cached_weights([path], _VERSION, build)
    leaves = [(name, _whole(array)) for name, array in weights.arrays.items()]
    writes = config.is_decoder or config.is_encoder_decoder
    ends = gguf_end_tokens(file.metadata) if writes else ()
    tokenizer = gguf_tokenizer(file.metadata)
    return Checkpoint(config, tokenizer, leaves, weights.sha256, end_tokens=ends)


def _whole(array: np.ndarray) -> StoredLeaf:
    return StoredLeaf(array.shape, lambda _: array)

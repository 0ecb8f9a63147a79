"""Read a model from one GGUF file, whose weights are converted once and then cached."""

from pathlib import Path

import numpy as np

from fsl_jax.errors import unknown_name
from fsl_jax.models.checkpoints.checkpoint import Checkpoint
from fsl_jax.models.checkpoints.weights_cache import cached_weights
from fsl_jax.models.families.registry import gguf_layouts, parameter_shapes
from fsl_jax.models.gguf.reader import read_gguf
from fsl_jax.models.tensors.reading import read_leaves
from fsl_jax.models.tensors.stored import in_memory

# Part of the names of cached files. Change it whenever the same file gives different leaves.
# Despite its wording, it is used for all families.
_VERSION = "llama-1"


def read_gguf_checkpoint(path: Path) -> Checkpoint:
    """Read a model from a GGUF file, with weights from the cache if the file was read before.

    Args:
      path: the file.

    Returns:
      The checkpoint, with leaves in float32.

    Raises:
      InputError: the file is damaged, the architecture is unknown, or the weights do not fit the
        metadata.
    """
    # Import here: transformers takes most of a second, and models without files do not need it.
    from fsl_jax.models.gguf.token_roles import gguf_end_tokens
    from fsl_jax.models.gguf.tokenizer import gguf_tokenizer

    file = read_gguf(path)
    architecture = str(file.metadata.get("general.architecture"))
    layouts = gguf_layouts()
    if architecture not in layouts:
        raise unknown_name("GGUF architecture", architecture, layouts)
    layout = layouts[architecture]
    config = layout.config(str(path), file.metadata, file.tensors)

    def build() -> dict[str, np.ndarray]:
        tensor_map = layout.tensor_map(config)
        leaves = read_leaves(str(path), file.tensors, tensor_map, parameter_shapes(config))
        return {name: leaf.load() for name, leaf in leaves}

    weights = cached_weights([path], _VERSION, build)
    leaves = [(name, in_memory(array)) for name, array in weights.arrays.items()]
    writes = config.is_decoder or config.is_encoder_decoder
    ends = gguf_end_tokens(file.metadata) if writes else ()
    tokenizer = gguf_tokenizer(file.metadata)
    return Checkpoint(config, tokenizer, leaves, weights.sha256, end_tokens=ends)

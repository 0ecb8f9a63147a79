"""Read a model from a GGUF file, whose weights are converted once and then cached."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fsl_jax.errors import unknown_name
from fsl_jax.models.checkpoints.checkpoint import Checkpoint
from fsl_jax.models.checkpoints.weights_cache import cached_weights
from fsl_jax.models.families.config import Config
from fsl_jax.models.families.family import GGUFLayout
from fsl_jax.models.families.registry import gguf_layouts, parameter_shapes
from fsl_jax.models.gguf.general_keys import require_model
from fsl_jax.models.gguf.metadata import metadata_value
from fsl_jax.models.gguf.parts import read_gguf_parts
from fsl_jax.models.gguf.reader import GGUFFile
from fsl_jax.models.tensors.reading import read_leaves
from fsl_jax.models.tensors.stored import in_memory
from fsl_jax.models.tokenizing import refusing_errors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Part of the names of cached files. Change it whenever the same file gives different leaves.
# Despite its wording, it is used for all families.
_VERSION = "llama-1"


def read_gguf_checkpoint(path: Path) -> Checkpoint:
    """Read a model from a GGUF file, with weights from the cache if the file was read before.

    Args:
      path: the file, or the first part of a split file.

    Returns:
      The checkpoint, with leaves in float32.

    Raises:
      InputError: the file is damaged, the architecture is unknown, or the weights do not fit the
        metadata.
    """
    file, paths = read_gguf_parts(path)
    require_model(path, file.metadata)
    layout, config = _layout_and_config(path, file)
    tokenizer, ends = _tokenizer_and_ends(path, file, config)

    def build() -> dict[str, np.ndarray]:
        tensor_map = layout.tensor_map(config)
        leaves = read_leaves(str(path), file.tensors, tensor_map, parameter_shapes(config))
        return {name: leaf.load() for name, leaf in leaves}

    weights = cached_weights(paths, _VERSION, build)
    leaves = [(name, in_memory(array)) for name, array in weights.arrays.items()]
    return Checkpoint(config, tokenizer, leaves, weights.sha256, end_tokens=ends)


def _layout_and_config(path: Path, file: GGUFFile) -> tuple[GGUFLayout, Config]:
    architecture = metadata_value(file.metadata, "general.architecture", str, "none")
    layouts = gguf_layouts()
    if architecture not in layouts:
        raise unknown_name("GGUF architecture (general.architecture)", architecture, layouts)
    layout = layouts[architecture]
    return layout, layout.config(str(path), file.metadata, file.tensors)


def _tokenizer_and_ends(
    path: Path, file: GGUFFile, config: Config
) -> tuple["PreTrainedTokenizerFast", tuple[int, ...]]:
    # Import here: transformers takes most of a second, and models without files do not need it.
    from fsl_jax.models.gguf.token_roles import gguf_end_tokens
    from fsl_jax.models.gguf.tokenizer import gguf_tokenizer

    with refusing_errors(
        f"{path}: the tokenizer cannot be built", "The file may be damaged: fetch it again."
    ):
        tokenizer = gguf_tokenizer(file.metadata)
    writes = config.is_decoder or config.is_encoder_decoder
    return tokenizer, gguf_end_tokens(file.metadata) if writes else ()

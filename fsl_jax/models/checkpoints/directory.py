"""Read a Hugging Face directory: `config.json`, safetensors files and `tokenizer.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.json_reader import read_json
from fsl_jax.models.checkpoints.checkpoint import Checkpoint
from fsl_jax.models.checkpoints.file_hashes import file_hashes
from fsl_jax.models.checkpoints.generation_config import FILE as GENERATION_FILE
from fsl_jax.models.checkpoints.generation_config import (
    end_tokens,
    read_generation_config,
    with_start,
)
from fsl_jax.models.checkpoints.head_config import label_names, text_end
from fsl_jax.models.checkpoints.head_tensors import CLASSES, tensors_to_read
from fsl_jax.models.checkpoints.tokenizer_files import FILES as TOKENIZER_FILES
from fsl_jax.models.checkpoints.tokenizer_files import read_tokenizer
from fsl_jax.models.checkpoints.weights_cache import weights_sha256
from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.tensors.reading import read_leaves
from fsl_jax.models.tensors.safetensors_files import SafetensorsTensor, open_tensors, weight_files
from fsl_jax.models.tensors.ties import without_copies

FILES = (
    "config.json",
    GENERATION_FILE,
    "model*.safetensors",
    "model.safetensors.index.json",
    *TOKENIZER_FILES,
)
"""Patterns for the names of the files that are read from a directory."""


def read_directory(directory: Path, head: str | None = None) -> Checkpoint:
    """Read a directory that a Hugging Face model was saved to.

    Args:
      directory: a directory with `config.json`, `tokenizer.json` and safetensors files.
      head: the kind of head to read as well, if the checkpoint has it. Other heads are left out.

    Returns:
      The checkpoint.

    Raises:
      InputError: files are missing or damaged, the architecture is unknown, or the weights do not
        fit the config.
    """
    _require_files(directory)
    hashes = file_hashes(directory)
    values = read_json(directory / "config.json")
    if (architecture := values.get("model_type")) is None:
        raise InputError(
            f"{directory / 'config.json'}: model_type is missing, which says what architecture "
            f"the weights have. Known: {', '.join(sorted(FAMILIES))}."
        )
    if not isinstance(architecture, str) or architecture not in FAMILIES:
        raise unknown_name("architecture (model_type in config.json)", str(architecture), FAMILIES)
    files = weight_files(directory)
    family = FAMILIES[architecture]
    generation = read_generation_config(directory)
    values = with_start(values, generation)
    tensors = _tensors(directory, values, files)
    config = family.config(str(directory / "config.json"), values, tensors)
    tensor_map, shapes = tensors_to_read(config, head, values, tensors)
    leaves = read_leaves(str(directory), tensors, tensor_map, shapes)
    tokenizer = read_tokenizer(directory, family, values)
    classes = shapes[CLASSES][-1] if CLASSES in shapes else 0
    labels = label_names(str(directory / "config.json"), values, classes) if classes else ()
    ends = end_tokens(directory, values, generation)
    last = text_end(str(directory / "config.json"), values, config, head)
    return Checkpoint(config, tokenizer, leaves, weights_sha256(files), labels, ends, hashes, last)


# Advice for a directory with such a file that lacks a required file.
_HINTS = {
    "adapter_config.json": "It holds an adapter: load the model that it was made for, and give the "
    "adapter to what takes one.",
    "*.gguf": "It holds a GGUF file: give the path of that file.",
    "config.json": "Only tokenizers of the fast kind are read: save the tokenizer there with "
    "transformers' AutoTokenizer, which writes tokenizer.json.",
    "*/config.json": "It holds directories with models: give one of those.",
}


def _require_files(directory: Path) -> None:
    needed = ("config.json", "tokenizer.json")
    if absent := [name for name in needed if not (directory / name).is_file()]:
        hints = (hint for pattern, hint in _HINTS.items() if any(directory.glob(pattern)))
        usual = "Give a directory that a Hugging Face model and its tokenizer were saved to."
        raise problems_error(f"{directory}: files are missing. {next(hints, usual)}", absent)


def _tensors(
    directory: Path, values: Mapping[str, Any], files: list[Path]
) -> dict[str, SafetensorsTensor]:
    """Return the checkpoint's tensors by name, without copies of tied ones."""
    family = FAMILIES[values["model_type"]]
    reader = ConfigReader(str(directory / "config.json"), values)
    reader.texts("architectures")
    tied = reader.flag("tie_word_embeddings", family.ties.default)
    reader.finish()
    return without_copies(directory, open_tensors(files), family.ties, tied)

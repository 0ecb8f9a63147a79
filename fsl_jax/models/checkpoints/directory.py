"""Read a Hugging Face directory: `config.json`, safetensors files and `tokenizer.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.models.checkpoints.checkpoint import Checkpoint
from fsl_jax.models.checkpoints.generation_config import FILE as GENERATION_FILE
from fsl_jax.models.checkpoints.generation_config import (
    end_tokens,
    read_generation_config,
    with_start,
)
from fsl_jax.models.checkpoints.head_config import label_names
from fsl_jax.models.checkpoints.head_tensors import CLASSES, tensors_to_read
from fsl_jax.models.checkpoints.weights_cache import weights_sha256
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.tensors.reading import read_leaves
from fsl_jax.models.tensors.safetensors_files import open_tensors, weight_files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FILES = (
    "config.json",
    GENERATION_FILE,
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
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
    values = _read_config(directory / "config.json")
    if (architecture := values.get("model_type")) is None:
        raise InputError(
            f"{directory / 'config.json'}: model_type is missing, which says what architecture "
            f"the weights have. Known: {', '.join(sorted(FAMILIES))}."
        )
    if str(architecture) not in FAMILIES:
        raise unknown_name("architecture (model_type in config.json)", str(architecture), FAMILIES)
    files = weight_files(directory)
    tensors = open_tensors(files)
    family = FAMILIES[architecture]
    generation = read_generation_config(directory)
    values = with_start(values, generation)
    config = family.config(str(directory / "config.json"), values, list(tensors))
    tensor_map, shapes = tensors_to_read(config, head, values, tensors)
    leaves = read_leaves(str(directory), tensors, tensor_map, shapes)
    tokenizer = _read_tokenizer(directory, family.special_tokens)
    classes = shapes[CLASSES][-1] if CLASSES in shapes else 0
    labels = label_names(str(directory / "config.json"), values, classes) if classes else ()
    ends = end_tokens(directory, values, generation)
    return Checkpoint(config, tokenizer, leaves, weights_sha256(files), labels, ends)


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


def _read_config(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}. Fetch it again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected an object with the model's sizes. Fetch it again.")
    return values


def _read_tokenizer(
    directory: Path, special_tokens: Mapping[str, str]
) -> "PreTrainedTokenizerFast":
    # Import here: it takes most of a second, and models without files do not need it.
    from transformers import PreTrainedTokenizerFast

    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(directory)
    # The tokenizers library raises plain exceptions for a file that it cannot read.
    except Exception as error:
        path = directory / "tokenizer.json"
        raise InputError(f"{path}: not a valid tokenizer: {error}. Fetch it again.") from error
    # Early checkpoints do not name the special tokens: Hugging Face's code does.
    vocabulary = tokenizer.get_vocab()
    for role, token in special_tokens.items():
        if getattr(tokenizer, role) is None and token in vocabulary:
            setattr(tokenizer, role, token)
    return tokenizer

"""Write a model as a Hugging Face directory, which transformers and other programs can load."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from etils import epath
from flax.traverse_util import flatten_dict
from huggingface_hub import split_state_dict_into_shards_factory

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import staged_directory
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.sections import join_sections
from fsl_jax.models.checkpoints.head_config import json_of
from fsl_jax.models.checkpoints.head_tensors import shapes_of, tensor_map_of
from fsl_jax.models.outputs import Params
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.stored import Shape
from fsl_jax.models.tensors.tensor_files import encode_tensors
from fsl_jax.models.tensors.writing import write_tensors

SHARD_BYTES = 2 * 10**9
"""The maximum size of one weights file. A file is in memory twice while it is written."""

_SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def export(
    pretrained: Pretrained,
    directory: epath.PathLike,
    *,
    params: Params | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> epath.Path:
    """Write safetensors files, `config.json` and the tokenizer, including the model's head.

    On a local disk the directory appears complete or not at all. Tied weights are written once, as
    Hugging Face does.

    Args:
      pretrained: the model.
      directory: the directory to write; it must be empty or not exist.
      params: fine-tuned or merged parameters in the same tree; by default the model's own. Layers
        that were cut into `layers` and `top_layers` are joined again.
      shard_bytes: the maximum number of bytes of weights in one file.

    Returns:
      The directory.

    Raises:
      InputError: the directory is not empty, or the parameters do not fit the model. Such files
        cannot hold added leaves.
      OSError: the directory could not be written; no partial files are left.
    """
    directory = epath.Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory}: it is there already. Choose a directory that is not.")
    leaves = flatten_dict(join_sections(pretrained.params if params is None else params), sep="/")
    config, head, labels = pretrained.config, pretrained.head, pretrained.labels
    _check(pretrained.name, leaves, shapes_of(config, head, len(labels)))
    tensors = dict(write_tensors(leaves, tensor_map_of(config, head)))
    with staged_directory(directory) as staging:
        _write_weights(staging, tensors, shard_bytes)
        # The model's values override the tokenizer's: positions may be counted from the padding
        # token's id.
        values = _other_values(pretrained, leaves.values()) | json_of(config, head, labels)
        if head == SEQUENCE_CLASSIFICATION and len(labels) > 1:
            values["problem_type"] = "single_label_classification"
        (staging / "config.json").write_text(json.dumps(values, indent=2) + "\n")
        pretrained.tokenizer.save_pretrained(staging)
    return directory


def _check(name: str, leaves: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    problems = [f"not the model's: {path}" for path in leaves.keys() - shapes.keys()]
    problems += [f"missing: {path}" for path in shapes.keys() - leaves.keys()]
    problems += [
        f"wrong shape: {path} is {list(leaves[path].shape)}, expected {list(shape)}"
        for path, shape in shapes.items()
        if path in leaves and leaves[path].shape != shape
    ]
    if problems:
        raise problems_error(
            f"{name}: these parameters cannot be written as a Hugging Face model. Merge "
            "what an adaptation added into the weights first, or save it as an adapter:",
            sorted(problems),
        )


def _write_weights(
    directory: epath.Path, tensors: Mapping[str, np.ndarray], shard_bytes: int
) -> None:
    split = split_state_dict_into_shards_factory(
        dict(tensors),
        get_storage_size=lambda tensor: tensor.nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=shard_bytes,
    )
    for name, names in split.filename_to_tensors.items():
        (directory / name).write_bytes(
            encode_tensors({tensor: tensors[tensor] for tensor in names})
        )
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        path = directory / "model.safetensors.index.json"
        path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def _other_values(pretrained: Pretrained, leaves: Iterable[Any]) -> dict[str, Any]:
    """Return the dtype, the special tokens and generation's end tokens for `config.json`."""
    tokens = {name: getattr(pretrained.tokenizer, name) for name in _SPECIAL_TOKENS}
    if ends := list(pretrained.end_tokens):
        tokens["eos_token_id"] = ends if len(ends) > 1 else ends[0]
    if (padding := pretrained.text_end.padding) is not None:
        tokens["pad_token_id"] = padding
    if (end := pretrained.text_end.end) is not None:
        tokens["eos_token_id"] = end
    dtype = jnp.result_type(*{jnp.dtype(leaf.dtype) for leaf in leaves})
    return {"dtype": dtype.name} | {k: number for k, number in tokens.items() if number is not None}

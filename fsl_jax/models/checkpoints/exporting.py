"""Writing a model as a Hugging Face directory, which transformers and others load."""

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
from fsl_jax.models.blocks.sections import join_sections
from fsl_jax.models.checkpoints.heads import json_of, shapes_of, tensor_map_of
from fsl_jax.models.outputs import Params
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import encode_tensors
from fsl_jax.models.tensors.tensor_map import Shape, write_tensors

SHARD_BYTES = 2 * 10**9
"""Weights beyond this go into several files; each is in memory twice while it is written."""

_SPECIAL_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def export(
    pretrained: Pretrained,
    directory: epath.PathLike,
    *,
    params: Params | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> epath.Path:
    """Writes safetensors files, `config.json` and the tokenizer, with the head that the model has.

    On a local disk the directory appears whole or not at all. Weights that are tied are written
    once, as Hugging Face does.

    Args:
      pretrained: the model.
      directory: where; it must not exist, or be empty.
      params: other parameters than the model's own, in the same tree: fine-tuned or merged ones.
        Layers that were cut into `layers` and `top_layers` are joined again.
      shard_bytes: the most bytes of weights in one file.

    Returns:
      The directory.

    Raises:
      InputError: there is something in the directory, or the parameters are not those of the
        model: leaves that an adaptation added have no place in such a file.
      OSError: it could not be written; nothing of it stays behind.
    """
    directory = epath.Path(directory)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory}: it is there already. Choose a directory that is not.")
    leaves = flatten_dict(join_sections(pretrained.params if params is None else params), sep="/")
    config, head = pretrained.config, pretrained.head
    labels = pretrained.labels
    _check(pretrained.name, leaves, shapes_of(config, head, len(labels)))
    tensors = dict(write_tensors(leaves, tensor_map_of(config, head)))
    with staged_directory(directory) as staging:
        _write_weights(staging, tensors, shard_bytes)
        # The model's own numbers hold: RoBERTa counts positions from that of its padding.
        values = _other_values(pretrained, leaves.values()) | json_of(config, head, labels)
        (staging / "config.json").write_text(json.dumps(values, indent=2) + "\n")
        pretrained.tokenizer.save_pretrained(staging)
    return directory


def _check(name: str, leaves: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
    found = [f"not the model's: {path}" for path in leaves.keys() - shapes.keys()]
    found += [f"missing: {path}" for path in shapes.keys() - leaves.keys()]
    found += [
        f"wrong shape: {path} is {list(leaves[path].shape)}, expected {list(shape)}"
        for path, shape in shapes.items()
        if path in leaves and leaves[path].shape != shape
    ]
    if found:
        raise problems_error(
            f"{name}: these parameters cannot be written as a Hugging Face model. Merge "
            "what an adaptation added into the weights first, or save it as an adapter:",
            sorted(found),
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
        (directory / name).write_bytes(encode_tensors({each: tensors[each] for each in names}))
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        path = directory / "model.safetensors.index.json"
        path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def _other_values(pretrained: Pretrained, leaves: Iterable[Any]) -> dict[str, Any]:
    """What `config.json` says beside the sizes; generation stops at the tokens named there."""
    tokens = {name: getattr(pretrained.tokenizer, name) for name in _SPECIAL_TOKENS}
    if ends := list(pretrained.end_tokens):
        tokens["eos_token_id"] = ends if len(ends) > 1 else ends[0]
    dtype = jnp.result_type(*{jnp.dtype(leaf.dtype) for leaf in leaves})
    return {"dtype": dtype.name} | {k: number for k, number in tokens.items() if number is not None}

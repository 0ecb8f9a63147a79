"""Export an adapter for a server: as an adapter if the server accepts it, else as a merged model.

The written files are loaded again and compared with the original before they are put in place.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_files import Adapter, load_adapter, save_adapter
from fsl_jax.adapt.files.adapter_layout import HEAD
from fsl_jax.adapt.files.adapter_leaves import frozen_leaves_of, saved_shapes
from fsl_jax.adapt.files.brought_base import with_brought_head
from fsl_jax.adapt.files.classifier_export import write_classifier
from fsl_jax.adapt.files.comparison import TEXTS, difference_of, outputs_on, require_finite
from fsl_jax.adapt.files.vllm import (
    MERGE_INSTEAD,
    note_on_rank,
    notes_on_embeddings,
    reasons_not_served,
    reasons_to_merge,
)
from fsl_jax.adapt.merging import merge, obstacles
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.peft.kinds import kind_of_method, missing_kind_reason
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.files import staged_directory
from fsl_jax.models.blocks.head_kinds import CLASSIFIERS
from fsl_jax.models.checkpoints.exporting import export
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import encode_tensors

PEFT, VLLM, MERGED = "peft", "vllm", "merged"
TARGETS = (PEFT, VLLM, MERGED)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A written export.

    Attributes:
      directory: the directory.
      is_model: whether it is a merged model instead of an adapter.
      difference: the largest difference from the original, relative to the largest value.
      notes: sentences on how to use it.
    """

    directory: epath.Path
    is_model: bool
    difference: float
    notes: tuple[str, ...]


def export_adapter(
    directory: epath.PathLike,
    pretrained: Pretrained,
    target: str,
    output: epath.PathLike,
    texts: Sequence[str] = TEXTS,
    separate_head: bool = False,
) -> Exported:
    """Write an adapter for PEFT, for vLLM or as a merged model, and compare it with the original.

    Args:
      directory: the adapter, from `save_adapter`, `save_peft` or PEFT.
      pretrained: its base model, in float32.
      target: "peft" for an adapter that PEFT loads; "vllm" for an adapter that vLLM loads, or a
        merged model if vLLM does not support such adapters (of encoders, vLLM serves embeddings);
        "merged" for a Hugging Face directory, with the task head as the head of transformers' class
        that classifies texts.
      output: the directory to write to, which must be empty or not exist.
      texts: the texts on which both are compared.
      separate_head: True to write the task head into a file beside a merged model.

    Returns:
      The export.

    Raises:
      InputError: the adapter cannot be read, the target cannot serve it in any form, `output` is
        not empty, or the written model gives different results. No partial files are left.
    """
    output = epath.Path(output)
    _require_usable(target, output)
    pretrained = with_brought_head(directory, pretrained)
    adapter = load_adapter(directory, pretrained)
    refusals = _refusals(adapter, pretrained, target)
    expected = outputs_on(pretrained, adapter.params, pretrained, texts)
    require_finite(expected, adapter.params, directory)
    is_model = target == MERGED or bool(refusals)
    with staged_directory(output) as staging, _naming(output, staging):
        if is_model:
            merged = _merged(adapter, pretrained, refusals)
            notes = [f"It is merged: {refusal}." for refusal in refusals]
            if target == MERGED and "head" in merged and not separate_head:
                difference, more = write_classifier(
                    adapter, merged, pretrained, staging, output, texts
                )
                return Exported(output, is_model, difference, (*notes, *more))
            notes += _write_model(merged, pretrained, staging, target, directory)
            again = load(str(staging), dtype=jnp.float32, head=pretrained.head)
            numbers = outputs_on(again, again.params, pretrained, texts)
        else:
            notes = _write_adapter(adapter, pretrained, staging, target)
            params = load_adapter(staging, pretrained).params
            numbers = outputs_on(pretrained, params, pretrained, texts)
        difference = difference_of(numbers, expected, output)
    return Exported(output, is_model, difference, tuple(notes))


@contextlib.contextmanager
def _naming(output: epath.Path, staging: epath.Path) -> Iterator[None]:
    """Name the output in errors instead of the staging directory, which users do not know."""
    try:
        yield
    except InputError as error:
        named = InputError(str(error).replace(str(staging), str(output)))
        named.problems = error.problems
        raise named from error


def _require_usable(target: str, output: epath.Path) -> None:
    """Raise an error if a target is unknown, or if the output directory is not empty."""
    if target not in TARGETS:
        raise unknown_name("target of an export", target, TARGETS)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: it is there already. Choose a directory that is not.")


def _refusals(adapter: Adapter, pretrained: Pretrained, target: str) -> list[str]:
    """List the reasons why a target needs a merged model instead of this adapter.

    Raises:
      InputError: the target does not accept a merged model either.
    """
    method, config = adapter.method, pretrained.config
    leaves = _saved_leaves(adapter, pretrained)
    kind = kind_of_method(method, leaves, config)
    brought = brought_paths(adapter, pretrained)
    if target == PEFT and brought:
        raise problems_error(
            "PEFT wrote this adapter with whole modules of the model, which are not written again "
            f"here. Use the directory itself. {MERGE_INSTEAD}:",
            brought,
        )
    if target == PEFT and kind is None:
        reasons = "; ".join(obstacles(leaves, pretrained))
        advice = f"And it cannot be merged: {reasons}" if reasons else MERGE_INSTEAD
        raise InputError(f"{missing_kind_reason(method, config)}. {advice}.")
    if target != VLLM:
        return []
    has_head = "head" in adapter.params or pretrained.head in CLASSIFIERS
    if problems := reasons_not_served(leaves, pretrained, has_head):
        raise problems_error("vLLM cannot serve this adapter, merged or not:", problems)
    modules = ["it brings whole modules of the model"] if brought else []
    return reasons_to_merge(method, config, in_peft_format=kind is not None) + modules


def brought_paths(adapter: Adapter, pretrained: Pretrained) -> list[str]:
    """Return the leaves of the base that an adapter from PEFT replaces beside its method's."""
    mask, saved = flatten(adapter.mask), saved_shapes(adapter.method, pretrained)
    base = flatten(pretrained.params)
    return sorted(path for path in mask if mask[path] and path in base and path not in saved)


def _saved_leaves(adapter: Adapter, pretrained: Pretrained) -> dict[str, Any]:
    """Return the saved leaves of an adapter, without those of a task head."""
    mask, leaves = flatten(adapter.mask), flatten(adapter.params)
    saved = saved_shapes(adapter.method, pretrained)
    return {path: leaf for path, leaf in leaves.items() if mask[path] and path in saved}


def _write_adapter(
    adapter: Adapter, pretrained: Pretrained, output: epath.Path, target: str
) -> list[str]:
    frozen = frozen_leaves_of(adapter.method, flatten(adapter.params))
    leaves: Params = unflatten(frozen | _saved_leaves(adapter, pretrained))
    notes = []
    if head := adapter.params.get("head"):
        leaves["head"] = head
        notes.append(f"The task head is in {HEAD}, which only this project reads.")
    save_adapter(output, leaves, adapter.method, pretrained, adapter.description or {})
    if target == VLLM and isinstance(adapter.method, LoRA):
        notes.append(note_on_rank(adapter.method.rank))
    return notes


def _merged(adapter: Adapter, pretrained: Pretrained, refusals: Sequence[str]) -> Params:
    try:
        return merge(adapter.params, pretrained)
    except InputError as error:
        if refusals:
            raise InputError(f"{'; '.join(refusals)}. And {error}") from error
        raise


def _write_model(
    merged: Params,
    pretrained: Pretrained,
    output: epath.Path,
    target: str,
    source: epath.PathLike,
) -> list[str]:
    head = merged.pop("head", None)
    export(pretrained, output, params=merged)
    if target == VLLM and not pretrained.config.is_decoder:
        return notes_on_embeddings(source if head else None)
    if not head:
        return []
    tensors = {f"head/{path}": np.asarray(leaf) for path, leaf in flatten(head).items()}
    (output / HEAD).write_bytes(encode_tensors(tensors))
    return [f"The task head is in {HEAD}, which is no part of the model."]

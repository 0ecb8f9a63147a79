"""Writing an adapter for those who serve it: what they accept, or else a merged model.

What was written is loaded again and compared, so that a success is one.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_files import (
    Adapter,
    frozen_leaves_of,
    load_adapter,
    save_adapter,
    saved_shapes,
)
from fsl_jax.adapt.files.adapter_layout import CONFIG, HEAD, RECORD
from fsl_jax.adapt.files.adapter_record import parse_json, read_record
from fsl_jax.adapt.files.vllm import (
    MERGE_INSTEAD,
    note_on_rank,
    notes_on_embeddings,
    unserved,
    why_merged,
)
from fsl_jax.adapt.merging import merge, obstacles
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.peft.kinds import absence, kind_of_method
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.models.checkpoints.exporting import export
from fsl_jax.models.families.t5.layers import T5Config
from fsl_jax.models.loading import load
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import encode_tensors

PEFT, VLLM, MERGED = "peft", "vllm", "merged"
TARGETS = (PEFT, VLLM, MERGED)

TEXTS = (
    "The committee has postponed its decision until next week.",
    "What a wonderful film!",
    "Prices of wheat and oil fell by 3.5% on Tuesday, and shares rose.",
)
"""What both models read when they are compared."""

TOLERANCE = 1e-5
"""By how much of the largest number the others may differ."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
      directory: where.
      is_model: whether it is a merged model, and not an adapter.
      difference: the largest difference to the adapter before, as a share of the largest number.
      notes: what to know about it, a sentence each.
    """

    directory: epath.Path
    is_model: bool
    difference: float
    notes: tuple[str, ...]


def base_name(directory: epath.PathLike) -> str:
    """The base model that an adapter names as its own.

    Args:
      directory: the adapter.

    Returns:
      A name that `fsl_jax.load` takes, or PEFT's.

    Raises:
      InputError: the directory has no adapter, or it names none.
    """
    directory = epath.Path(directory)
    if record := read_record(directory / RECORD):
        return record.base_model["name"]
    if not (directory / CONFIG).exists():
        raise InputError(f"{directory}: there is no {CONFIG}. Give a directory with an adapter.")
    config = parse_json(directory / CONFIG, (directory / CONFIG).read_bytes())
    name = config.get("base_model_name_or_path")
    if not name:
        raise InputError(f"{directory / CONFIG} names no base model. Name it yourself.")
    return str(name)


def export_adapter(
    directory: epath.PathLike,
    pretrained: Pretrained,
    target: str,
    output: epath.PathLike,
    texts: Sequence[str] = TEXTS,
) -> Exported:
    """Writes an adapter for those who serve it, and compares what was written.

    Args:
      directory: the adapter, as `save_adapter`, `save_peft` or PEFT has saved it.
      pretrained: its base model, in float32.
      target: "peft" for an adapter that PEFT loads; "vllm" for one that vLLM loads, or a merged
        model where it has no adapters of that kind, as for encoders, of which it serves embeddings;
        "merged" for a Hugging Face directory.
      output: where; it must not exist, or be empty.
      texts: what both are compared on.

    Returns:
      What was written.

    Raises:
      InputError: the adapter cannot be read, the target cannot serve it in any form, there is
        something in `output`, or what was written computes something else; nothing is left then.
    """
    if target not in TARGETS:
        raise unknown_name("target of an export", target, TARGETS)
    output = epath.Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: it is there already. Choose a directory that is not.")
    adapter = load_adapter(directory, pretrained)
    refusals = _refusals(adapter, pretrained, target)
    expected = _numbers(pretrained, adapter.params, pretrained, texts)
    _require_finite(expected, adapter, directory)
    is_model = target == MERGED or bool(refusals)
    with _removed_unless_done(output):
        if is_model:
            merged = _merged(adapter, pretrained, refusals)
            notes = [f"It is merged: {refusal}." for refusal in refusals]
            notes += _write_model(merged, pretrained, output, target, directory)
            again = load(str(output), dtype=jnp.float32)
            found = _numbers(again, again.params, pretrained, texts)
        else:
            notes = _write_adapter(adapter, pretrained, output, target)
            params = load_adapter(output, pretrained).params
            found = _numbers(pretrained, params, pretrained, texts)
        difference = float(np.abs(found - expected).max() / np.abs(expected).max())
        if not difference < TOLERANCE:
            raise InputError(
                f"{output}: what was written computed other numbers when it was read again: they "
                f"differ by {difference:.1e} of the largest, and {TOLERANCE:.0e} is allowed. It "
                "was removed. Give the base model in float32."
            )
    return Exported(output, is_model, difference, tuple(notes))


@contextlib.contextmanager
def _removed_unless_done(directory: epath.Path) -> Iterator[None]:
    """What was written is no export before it was read and compared."""
    try:
        yield
    except BaseException:
        if directory.exists():
            directory.rmtree()
        raise


def _require_finite(numbers: np.ndarray, adapter: Adapter, directory: epath.PathLike) -> None:
    if np.isfinite(numbers).all():
        return
    lost = [
        path
        for path, leaf in flatten(adapter.params).items()
        if not np.isfinite(np.asarray(leaf, np.float32)).all()
    ]
    raise problems_error(
        f"{directory}: the model computes numbers that are not finite with this adapter, so its "
        "training has diverged or its files are damaged. Such numbers are in:",
        lost or ["none of its leaves: they are too large"],
    )


def _refusals(adapter: Adapter, pretrained: Pretrained, target: str) -> list[str]:
    """Why a target takes no such adapter, where a merged model may serve it.

    Raises:
      InputError: it takes no merged model either.
    """
    method, config = adapter.method, pretrained.config
    own = _own(adapter, pretrained)
    kind = kind_of_method(method, own, config)
    if target == PEFT and kind is None:
        reasons = "; ".join(obstacles(own, pretrained))
        advice = f"And it cannot be merged: {reasons}" if reasons else MERGE_INSTEAD
        raise InputError(f"{absence(method, config)}. {advice}.")
    if target != VLLM:
        return []
    if found := unserved(own, pretrained, has_head="head" in adapter.params):
        raise problems_error("vLLM cannot serve this adapter, merged or not:", found)
    return why_merged(method, config, in_peft_format=kind is not None)


def _own(adapter: Adapter, pretrained: Pretrained) -> dict[str, Any]:
    """The leaves that are saved of the adapter by path, those of a task head left out."""
    mask, leaves = flatten(adapter.mask), flatten(adapter.params)
    saved = saved_shapes(adapter.method, pretrained)
    return {path: leaf for path, leaf in leaves.items() if mask[path] and path in saved}


def _write_adapter(
    adapter: Adapter, pretrained: Pretrained, output: epath.Path, target: str
) -> list[str]:
    settings = frozen_leaves_of(adapter.method, flatten(adapter.params))
    leaves: Params = unflatten(settings | _own(adapter, pretrained))
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


def _numbers(
    model: Pretrained, params: Params, tokenizing: Pretrained, texts: Sequence[str]
) -> np.ndarray:
    """What a model makes of the texts: logits of words, or hidden states."""
    tokens = [tokenizing.tokenizer(text)["input_ids"] for text in texts]
    mask = np.arange(max(map(len, tokens)))[None] < np.array([[len(each)] for each in tokens])
    ids = np.zeros(mask.shape, np.int32)
    ids[mask] = np.concatenate(tokens)
    options: dict[str, Any] = {}
    if isinstance(model.config, T5Config):
        start = np.full((len(ids), 1), model.config.decoder_start_token, np.int32)
        options["decoder_input_ids"] = start
    output = jax.jit(lambda params: model.apply(params, ids, mask, **options))(params)
    numbers = output.hidden if output.logits is None else output.logits
    array = np.asarray(numbers, np.float32)
    # What stands at padding is nobody's.
    return array if model.config.is_encoder_decoder else array[mask]

"""Read the files of an adapter, which must be complete, undamaged, and for the right base model."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath

from fsl_jax.adapt.files.adapter_encoding import OWN_KIND
from fsl_jax.adapt.files.adapter_layout import (
    ADVICE,
    CONFIG,
    HEAD,
    MAX_JSON_BYTES,
    RECORD,
    TENSORS,
)
from fsl_jax.adapt.files.adapter_reading import read_file
from fsl_jax.adapt.files.adapter_record import AdapterRecord
from fsl_jax.adapt.peft.adapter_kind import AdapterKind
from fsl_jax.adapt.peft.kinds import KINDS, kind_of_config
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.pretrained import Pretrained

_PICKLED = "adapter_model.bin"


def read_files(
    directory: epath.Path, record: AdapterRecord | None, pretrained: Pretrained
) -> dict[str, bytes]:
    """Read the files beside the record, and require that none has changed since it was saved.

    Args:
      directory: the adapter.
      record: its record, if it has one.
      pretrained: the base model.

    Returns:
      The contents of the files by name.

    Raises:
      InputError: files are missing, too large, damaged, or lead out of the directory, or the base
        model is different. The error lists all problems.
    """
    hashes = record.sha256 if record else {}
    names = {CONFIG, TENSORS, *hashes} | ({HEAD} if (directory / HEAD).exists() else set())
    largest = _largest_tensors(pretrained)
    contents, problems = {}, []
    for name in sorted(names):
        if not (directory / name).exists():
            problems.append(f"{name}: missing" + _advice(directory, name))
            continue
        limit = MAX_JSON_BYTES if name == CONFIG else largest
        contents[name] = read_file(directory / name, limit)
        digest = hashlib.sha256(contents[name]).hexdigest()
        if name in hashes and digest != hashes[name]:
            problems.append(f"{name}: damaged; its SHA-256 is {digest}, expected {hashes[name]}")
        elif name == HEAD and name not in hashes:
            problems.append(
                f"{name}: {RECORD} does not list it" if record else f"{RECORD}: missing"
            )
    if problems:
        problems += base_problems(record, pretrained) if record else []
        raise problems_error(f"{directory}: this adapter cannot be loaded. {ADVICE}", problems)
    return contents


def _largest_tensors(pretrained: Pretrained) -> int:
    """Return the most bytes that the tensors of an adapter can sensibly take.

    Low-rank updates of full rank are twice as large as the weights, and all weights may be saved
    beside them, in float32. The rest is for small models with large task heads.
    """
    return (64 << 20) + 16 * sum(leaf.size for leaf in jax.tree.leaves(pretrained.params))


def _advice(directory: epath.Path, name: str) -> str:
    if name == TENSORS and (directory / _PICKLED).exists():
        return f"; {_PICKLED} is pickled and never read: save the adapter as safetensors"
    return ""


def base_problems(record: AdapterRecord, pretrained: Pretrained) -> list[str]:
    """List how the base model differs from the one that the adapter was trained on.

    Args:
      record: the adapter's record.
      pretrained: the base model.

    Returns:
      A line for other weights, or a line for each of the base's other files that has changed.
    """
    base = record.base_model
    if base["sha256"] != pretrained.sha256:
        return [
            f"it was trained on {base['name']}, whose weights have the SHA-256 {base['sha256']}, "
            f"and {pretrained.name} has {pretrained.sha256}: on other weights its numbers would be "
            "others. Load the base that it was trained on."
        ]
    expected, actual = record.base_files or {}, pretrained.file_hashes
    # Without a hash of the base's config, nothing is known about these files.
    names = sorted(expected.keys() | actual.keys()) if expected else []
    return [
        f"{name} of {pretrained.name} has changed since the adapter was trained, so its results "
        f"would change too: its SHA-256 is {actual.get(name, '(no such file)')}, expected "
        f"{expected.get(name, '(no such file)')}. Put the old file back."
        for name in names
        if expected.get(name) != actual.get(name)
    ]


def peft_kind(directory: epath.Path, config: Mapping[str, Any]) -> AdapterKind:
    """Return the kind of an adapter that PEFT saved, or raise an error if it is unknown."""
    peft_type = str(config.get("peft_type"))
    if peft_type.startswith(OWN_KIND):
        raise InputError(
            f"{directory}: {RECORD} is missing, which an adapter of kind {peft_type} needs."
        )
    kind = kind_of_config(config)
    if kind is None:
        known = ", ".join(sorted({each.peft_type for each in KINDS}))
        raise InputError(
            f"{directory}: {CONFIG} says peft_type {config.get('peft_type')!r}, which cannot be "
            f"read here. Adapters of these kinds can: {known}."
        )
    return kind

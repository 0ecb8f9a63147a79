"""Read the files of an adapter, which must be complete, undamaged, and for the right base model."""

import hashlib
from collections.abc import Mapping
from typing import Any

from etils import epath

from fsl_jax.adapt.files.adapter_encoding import OWN_KIND
from fsl_jax.adapt.files.adapter_layout import CONFIG, HEAD, RECORD, TENSORS
from fsl_jax.adapt.files.adapter_record import AdapterRecord
from fsl_jax.adapt.peft.adapter_kind import AdapterKind
from fsl_jax.adapt.peft.kinds import KINDS, kind_of_config
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.pretrained import Pretrained

_PICKLED = "adapter_model.bin"


def read_files(
    directory: epath.Path, record: AdapterRecord | None, pretrained: Pretrained
) -> dict[str, bytes]:
    """Read the files beside the record, and require that none has changed since it was saved."""
    hashes = record.sha256 if record else {}
    names = {CONFIG, TENSORS, *hashes} | ({HEAD} if (directory / HEAD).exists() else set())
    contents, problems = {}, []
    for name in sorted(names):
        if not (directory / name).exists():
            problems.append(f"{name}: missing" + _advice(directory, name))
            continue
        contents[name] = (directory / name).read_bytes()
        digest = hashlib.sha256(contents[name]).hexdigest()
        if name in hashes and digest != hashes[name]:
            problems.append(f"{name}: damaged; its SHA-256 is {digest}, expected {hashes[name]}")
        elif name == HEAD and name not in hashes:
            problems.append(
                f"{name}: {RECORD} does not list it" if record else f"{RECORD}: missing"
            )
    if problems:
        problems += base_problems(record, pretrained) if record else []
        raise problems_error(f"{directory}: this adapter cannot be loaded:", problems)
    return contents


def _advice(directory: epath.Path, name: str) -> str:
    if name == TENSORS and (directory / _PICKLED).exists():
        return f"; {_PICKLED} is pickled and never read: save the adapter as safetensors"
    return ""


def base_problems(record: AdapterRecord, pretrained: Pretrained) -> list[str]:
    """Return a line if the adapter was trained on other weights."""
    base = record.base_model
    if base["sha256"] == pretrained.sha256:
        return []
    return [
        f"it was trained on {base['name']}, whose weights have the SHA-256 {base['sha256']}, and "
        f"{pretrained.name} has {pretrained.sha256}: on other weights its numbers would be others. "
        "Load the base that it was trained on."
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

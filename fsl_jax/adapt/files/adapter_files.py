"""Adapters as directories in PEFT's layout, written whole or not at all and read strictly.

    adapter_config.json         for PEFT: the kind of adapter, its base model, its settings
    adapter_model.safetensors   what the method trained
    head.safetensors            the task head, where there is one
    fsl_jax.json                method, task, base model with its hash, hashes of the tensor files
    README.md                   for people and for the hub: what it is, and how to load it

What PEFT has too is in its own format (see `peft`), which PEFT and what serves its adapters read.
What adapts GPT-2's queries or values by a low rank is saved with more of it, since PEFT has them as
one layer (see `peft.fused`). PEFT's heads are other ones than the heads of this project, so ours
are in a file that PEFT passes over.
What PEFT has no format for has tensors with the paths of the tree for names, and the kind in the
config is a name such as FSL_JAX_BITFIT, which PEFT refuses. Nothing that is loaded depends on
README.md.
"""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_layout import CARD, CONFIG, HEAD, RECORD, TENSORS
from fsl_jax.adapt.files.adapter_record import (
    AdapterRecord,
    encode_json,
    parse_json,
    read_record,
    versions,
)
from fsl_jax.adapt.files.config_agreement import disagreements
from fsl_jax.adapt.files.model_card import model_card
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import format_method, parse_method
from fsl_jax.adapt.peft.fused import with_shared_matrices
from fsl_jax.adapt.peft.fused_vera import with_shared_vectors
from fsl_jax.adapt.peft.ia3 import with_whole_layers
from fsl_jax.adapt.peft.kinds import KINDS, Kind, kind_of_config, kind_of_method
from fsl_jax.adapt.peft.modules import task_type
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import STAGING, is_local, staged_directory
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import decode_tensors, encode_tensors

_PICKLED = "adapter_model.bin"
_OWN_KIND = "FSL_JAX_"


@dataclasses.dataclass(frozen=True, eq=False)
class Adapter:
    """A saved adapter on its base model.

    Attributes:
      params: the whole tree, ready for `pretrained.apply` and for a formulation's `logits`.
      mask: a tree of booleans of the same structure, True where a leaf is the adapter's.
      method: the method.
      description: what was saved with it about its task; None for an adapter that PEFT made.
    """

    params: Params
    mask: Params
    method: Method
    description: dict[str, Any] | None


def save_adapter(
    directory: epath.PathLike,
    leaves: Params,
    method: Method,
    pretrained: Pretrained,
    description: Mapping[str, Any],
) -> None:
    """Saves what one run trained; an adapter that is there already is replaced.

    On a local disk the directory appears whole or not at all, also when the process is killed.

    Args:
      directory: where to save it.
      leaves: the trained leaves at the run's own shapes, a nested dict. The method's settings, such
        as `lora_scale`, may be among them; what follows from the method is not written.
      method: the method that trained them.
      pretrained: the base model, of which the name and the hash are written.
      description: what is needed to use the adapter for its task again, as JSON values.

    Raises:
      InputError: the leaves are not what the method trains on this model, or have other shapes.
      OSError: it could not be written; what was there before is untouched.
    """
    method, leaves = method.to_save(leaves, pretrained.params)
    trained = _trained_leaves(leaves, method)
    found = _leaf_problems(trained, method, pretrained)
    if found:
        raise problems_error(
            f"{directory}: what was to be saved is no {method.name} adapter:", found
        )
    head = {path: leaf for path, leaf in trained.items() if _is_head(path)}
    tensors = {path: leaf for path, leaf in trained.items() if not _is_head(path)}
    for with_whole in (with_shared_matrices, with_shared_vectors, with_whole_layers):
        method, tensors = with_whole(method, tensors, pretrained)
    shapes = _shapes(tensors | head)
    config: dict[str, Any] = {
        "peft_type": _OWN_KIND + method.name.upper(),
        "task_type": task_type(pretrained.config),
        "base_model_name_or_path": pretrained.name,
    }
    paths = list(tensors)
    if kind := kind_of_method(method, paths, pretrained.config):
        tensors, config = kind.write(tensors, method, pretrained)
    card = model_card(method, paths, pretrained, kind, config["peft_type"], HEAD if head else None)
    files = {TENSORS: encode_tensors(tensors)} | ({HEAD: encode_tensors(head)} if head else {})
    record = AdapterRecord(
        method=format_method(method),
        base_model={"name": pretrained.name, "sha256": pretrained.sha256},
        description=dict(description),
        trained=shapes,
        versions=versions(),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    )
    # The record is the last: on an object store, a directory without it is not complete.
    files |= {CARD: card.encode(), CONFIG: encode_json(config), RECORD: record.encode()}
    _remove_abandoned(epath.Path(directory))
    with staged_directory(directory) as staging:
        for name, data in files.items():
            (staging / name).write_bytes(data)


def load_adapter(directory: epath.PathLike, pretrained: Pretrained) -> Adapter:
    """Loads an adapter onto its base model.

    Args:
      directory: from `save_adapter`, or an adapter that PEFT saved.
      pretrained: the base model.

    Returns:
      The adapter.

    Raises:
      InputError: files are missing or damaged, the base model is another one, or tensors are not
        known, missing, or of the wrong shape; it lists all that is wrong.
    """
    directory = epath.Path(directory)
    if not directory.is_dir():
        raise InputError(
            f"{directory}: there is no such directory. Give one with an adapter in it."
        )
    record = read_record(directory / RECORD)
    contents = _read_files(directory, record, pretrained)
    config = parse_json(directory / CONFIG, contents[CONFIG])
    tensors = decode_tensors(contents[TENSORS], directory / TENSORS)
    if record is None:
        peft_method, leaves = _peft_kind(directory, config).read(
            config, tensors, pretrained, directory
        )
        return _on_base(leaves, peft_method, pretrained, None)
    head = decode_tensors(contents[HEAD], directory / HEAD) if HEAD in contents else {}
    found = _base_problems(record, pretrained)
    found += [f"not known: {path}" for path in sorted(head) if not _is_head(path)]
    try:
        method, leaves, more = _read_own(directory, config, tensors, head, record, pretrained)
    except InputError as error:
        if not found:
            raise
        more = [*(error.problems or (str(error),))]
    if found := found + more:
        raise problems_error(f"{directory}: this adapter does not fit {pretrained.name}:", found)
    return _on_base(leaves, method, pretrained, record.description)


def saved_shapes(method: Method, pretrained: Pretrained) -> dict[str, list[int]]:
    """The shapes of the leaves that a method's adapter has, which a run of it keeps.

    Args:
      method: the method.
      pretrained: the base model.

    Returns:
      A shape for each path. Of what a method trains of the base, an adapter may lack some.
    """

    def keep(params: Params) -> Params:
        extended = flatten(method.extend(params, jax.random.key(0)))
        rules = (*method.rules, *method.saved_rules)
        saved = {path: leaf for path, leaf in extended.items() if _matches(path, rules)}
        return method.finish(unflatten(saved))

    kept = jax.eval_shape(keep, pretrained.params)
    return {path: list(leaf.shape) for path, leaf in flatten(kept).items()}


def frozen_leaves_of(method: Method, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the leaves by path that are the method's settings, such as scales.

    Of an adapter they are saved beside what was trained: they may have come with it, and what was
    worked out of the base may come out a little different where that is done again.

    Args:
      method: the method.
      leaves: of a whole tree.

    Returns:
      The settings by path.
    """
    return {path: leaf for path, leaf in leaves.items() if _matches(path, method.frozen_rules)}


def _read_own(
    directory: epath.Path,
    config: Mapping[str, Any],
    tensors: dict[str, np.ndarray],
    head: dict[str, np.ndarray],
    record: AdapterRecord,
    pretrained: Pretrained,
) -> tuple[Method, dict[str, np.ndarray], list[str]]:
    """The method of an adapter of ours, its leaves with the head's, and what is wrong with them."""
    method, found = parse_method(record.method), []
    kind = kind_of_config(config)
    if kind:
        peft_method, tensors = kind.read(config, tensors, pretrained, directory)
        found += disagreements(peft_method, tensors, method)
    leaves = tensors | head
    trained = _trained_leaves(unflatten(leaves), method)
    if not kind:
        # What follows from the method is not written.
        found += [f"not known: {path}" for path in sorted(leaves.keys() - trained.keys())]
    found += _differences(_shapes(trained), record.trained)
    return method, leaves, found + _leaf_problems(trained, method, pretrained)


def _remove_abandoned(directory: epath.Path) -> None:
    """Removes what a save to the same place has left if it was killed."""
    if not is_local(directory) or not directory.parent.exists():
        return
    for entry in directory.parent.iterdir():
        if re.fullmatch(re.escape(f"{STAGING}{directory.name}-") + "[0-9a-f]{8}", entry.name):
            entry.rmtree()


def _on_base(
    leaves: dict[str, np.ndarray],
    method: Method,
    pretrained: Pretrained,
    description: dict[str, Any] | None,
) -> Adapter:
    # What the method draws here is replaced; its settings and its cuts of the stack are needed.
    extended = flatten(method.extend(pretrained.params, jax.random.key(0)))
    trained = {path for path in extended if _matches(path, method.rules)}
    replaced = trained - saved_shapes(method, pretrained).keys()
    given = {path: leaf for path, leaf in extended.items() if path not in replaced}
    given |= {path: jnp.asarray(leaf) for path, leaf in leaves.items()}
    params = flatten(method.reparametrize(unflatten(given)))
    own = {path for path in given if path in leaves or _matches(path, method.frozen_rules)}
    mask = {path: path in own or path not in given for path in params}
    return Adapter(unflatten(params), unflatten(mask), method, description)


def _trained_leaves(leaves: Params, method: Method) -> dict[str, np.ndarray]:
    """The leaves by path in float32, without those that follow from the method's settings."""
    return {
        path: np.asarray(jax.device_get(leaf), np.float32)
        for path, leaf in flatten(leaves).items()
        if _matches(path, method.saved_rules) or not _matches(path, method.frozen_rules)
    }


def _leaf_problems(
    trained: Mapping[str, np.ndarray], method: Method, pretrained: Pretrained
) -> list[str]:
    """Where leaves are not what the method trains on this model; a head is the formulation's."""
    shapes = saved_shapes(method, pretrained)
    own = {path: shape for path, shape in _shapes(trained).items() if not _is_head(path)}
    # Of the base, a method may have left alone what its formulation does not read.
    required = shapes.keys() - flatten(pretrained.params).keys()
    expected = {path: shapes[path] for path in shapes if path in own or path in required}
    return _differences(own, expected) if trained else ["there are no trained leaves"]


def _matches(path: str, rules: Iterable[str]) -> bool:
    return any(re.search(rule, path) for rule in rules)


def _differences(found: Mapping[str, list[int]], expected: Mapping[str, list[int]]) -> list[str]:
    return [
        *(f"missing: {path}" for path in sorted(expected.keys() - found.keys())),
        *(f"not known: {path}" for path in sorted(found.keys() - expected.keys())),
        *(
            f"wrong shape: {path} is {found[path]}, expected {expected[path]}"
            for path in sorted(found.keys() & expected.keys())
            if found[path] != expected[path]
        ),
    ]


def _read_files(
    directory: epath.Path, record: AdapterRecord | None, pretrained: Pretrained
) -> dict[str, bytes]:
    """The contents of the files other than the record, all of them as they were saved."""
    hashes = record.sha256 if record else {}
    names = {CONFIG, TENSORS, *hashes} | ({HEAD} if (directory / HEAD).exists() else set())
    contents, found = {}, []
    for name in sorted(names):
        if not (directory / name).exists():
            found.append(f"{name}: missing" + _advice(directory, name))
            continue
        contents[name] = (directory / name).read_bytes()
        digest = hashlib.sha256(contents[name]).hexdigest()
        if name in hashes and digest != hashes[name]:
            found.append(f"{name}: damaged; its SHA-256 is {digest}, expected {hashes[name]}")
        elif name == HEAD and name not in hashes:
            found.append(f"{name}: {RECORD} does not list it" if record else f"{RECORD}: missing")
    if found:
        found += _base_problems(record, pretrained) if record else []
        raise problems_error(f"{directory}: this adapter cannot be loaded:", found)
    return contents


def _advice(directory: epath.Path, name: str) -> str:
    if name == TENSORS and (directory / _PICKLED).exists():
        return f"; {_PICKLED} is pickled and never read: save the adapter as safetensors"
    return ""


def _base_problems(record: AdapterRecord, pretrained: Pretrained) -> list[str]:
    base = record.base_model
    if base["sha256"] == pretrained.sha256:
        return []
    return [
        f"it was trained on {base['name']}, whose weights have the SHA-256 {base['sha256']}, and "
        f"{pretrained.name} has {pretrained.sha256}: on other weights its numbers would be others. "
        "Load the base that it was trained on."
    ]


def _peft_kind(directory: epath.Path, config: Mapping[str, Any]) -> Kind:
    """The kind of an adapter that PEFT saved."""
    kind = str(config.get("peft_type"))
    if kind.startswith(_OWN_KIND):
        raise InputError(
            f"{directory}: {RECORD} is missing, which an adapter of kind {kind} needs."
        )
    found = kind_of_config(config)
    if found is None:
        known = ", ".join(sorted({each.peft_type for each in KINDS}))
        raise InputError(
            f"{directory}: {CONFIG} says peft_type {config.get('peft_type')!r}, which cannot be "
            f"read here. Adapters of these kinds can: {known}."
        )
    return found


def _shapes(leaves: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    return {path: list(leaf.shape) for path, leaf in sorted(leaves.items())}


def _is_head(path: str) -> bool:
    return path.startswith("head/")

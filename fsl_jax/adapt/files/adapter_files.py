"""Adapters as directories in PEFT's layout, which are written atomically and read strictly.

    adapter_config.json         for PEFT: the kind of adapter, its base model, its settings
    adapter_model.safetensors   the leaves that the method trained
    head.safetensors            the task head, if there is one
    fsl_jax.json                method, task, base model with its hashes, hashes of the files above
    README.md                   for people and for the hub: a description, and how to load it

An adapter of a kind that PEFT has is saved in PEFT's format (see `peft`), which PEFT and servers
read. PEFT has GPT-2's queries, keys and values as one layer, so a low-rank adapter of some of them
is saved as an adapter of all three (see `peft.fused`). PEFT's heads differ from the heads of this
project, which are in a separate file that PEFT ignores.

Other adapters have tensors named by the paths of the tree, and a kind such as FSL_JAX_BITFIT in the
config, which PEFT refuses. Loading does not read README.md. Any changed bit in the other files is
noticed: `fsl_jax.json` is sealed and has their hashes.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_contents import base_problems, peft_kind, read_files
from fsl_jax.adapt.files.adapter_encoding import encoded_files
from fsl_jax.adapt.files.adapter_layout import CONFIG, HEAD, RECORD, TENSORS
from fsl_jax.adapt.files.adapter_leaves import (
    as_trained,
    is_head,
    leaf_problems,
    leaf_shapes,
    matches,
    saved_shapes,
    shape_problems,
    trained_leaves,
)
from fsl_jax.adapt.files.adapter_record import AdapterRecord, read_record
from fsl_jax.adapt.files.config_agreement import disagreements
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.adapt.peft.kinds import kind_of_config
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import STAGING, is_local, staged_directory
from fsl_jax.json_reader import parse_json
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import decode_tensors


@dataclasses.dataclass(frozen=True, eq=False)
class Adapter:
    """A saved adapter on its base model.

    Attributes:
      params: the whole tree, ready for `pretrained.apply` and for a formulation's `logits`.
      mask: a tree of booleans of the same structure, True for the adapter's leaves.
      method: the method.
      description: the saved description of its task; None for an adapter from PEFT.
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
    """Save the leaves that one run trained, and replace an existing adapter.

    On a local disk the directory appears complete or not at all, even if the process is killed.

    Args:
      directory: where to save it.
      leaves: a nested dict of the trained leaves at the run's own shapes. It may include frozen
        leaves, such as `lora_scale`; those that follow from the method are not written.
      method: the method that trained them.
      pretrained: the base model; its name and its hash are written.
      description: the information for using the adapter for its task again, as JSON values.

    Raises:
      InputError: the leaves are not those that the method trains on this model, or have other
        shapes.
      OSError: the adapter could not be written; an existing adapter is not changed.
    """
    method, leaves = method.to_save(leaves, pretrained.params)
    trained = trained_leaves(leaves, method)
    problems = leaf_problems(trained, method, pretrained)
    if problems:
        raise problems_error(
            f"{directory}: what was to be saved is no {method.name} adapter:", problems
        )
    files = encoded_files(trained, method, pretrained, description)
    _remove_abandoned(epath.Path(directory))
    with staged_directory(directory) as staging:
        for name, data in files.items():
            (staging / name).write_bytes(data)


def load_adapter(directory: epath.PathLike, pretrained: Pretrained) -> Adapter:
    """Load an adapter onto its base model.

    Args:
      directory: from `save_adapter`, or an adapter that PEFT saved.
      pretrained: the base model.

    Returns:
      The adapter.

    Raises:
      InputError: files are missing or damaged, the base model is different, or tensors are unknown,
        missing, or of the wrong shape; the error lists all problems.
    """
    directory = epath.Path(directory)
    if not directory.is_dir():
        raise InputError(
            f"{directory}: there is no such directory. Give one with an adapter in it."
        )
    record = read_record(directory / RECORD)
    contents = read_files(directory, record, pretrained)
    config = parse_json(contents[CONFIG], directory / CONFIG)
    tensors = decode_tensors(contents[TENSORS], directory / TENSORS)
    if record is None:
        peft_method, leaves = peft_kind(directory, config).read(
            config, tensors, pretrained, directory
        )
        return _on_base(leaves, peft_method, pretrained, None)
    head = decode_tensors(contents[HEAD], directory / HEAD) if HEAD in contents else {}
    problems = base_problems(record, pretrained)
    problems += [f"not known: {path}" for path in sorted(head) if not is_head(path)]
    try:
        method, leaves, more = _read_own(directory, config, tensors, head, record, pretrained)
    except InputError as error:
        if not problems:
            raise
        more = [*(error.problems or (str(error),))]
    if problems := problems + more:
        raise problems_error(f"{directory}: this adapter does not fit {pretrained.name}:", problems)
    return _on_base(leaves, method, pretrained, record.description)


def _read_own(
    directory: epath.Path,
    config: Mapping[str, Any],
    tensors: dict[str, np.ndarray],
    head: dict[str, np.ndarray],
    record: AdapterRecord,
    pretrained: Pretrained,
) -> tuple[Method, dict[str, np.ndarray], list[str]]:
    """Return the method of an adapter that has a record, all its leaves, and their problems."""
    method, problems = parse_method(record.method), []
    kind = kind_of_config(config)
    if kind:
        peft_method, tensors = kind.read(config, tensors, pretrained, directory)
        problems += disagreements(peft_method, tensors, method)
    leaves = tensors | head
    trained = trained_leaves(unflatten(leaves), method)
    if not kind:
        # Leaves that follow from the method are not written.
        problems += [f"not known: {path}" for path in sorted(leaves.keys() - trained.keys())]
    problems += shape_problems(leaf_shapes(trained), record.trained)
    return method, leaves, problems + leaf_problems(trained, method, pretrained)


def _remove_abandoned(directory: epath.Path) -> None:
    """Remove the files that a killed save to the same directory left."""
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
    # The leaves drawn here are replaced; only the frozen leaves and the cut stack are needed.
    extended = flatten(as_trained(method).extend(pretrained.params, jax.random.key(0)))
    trained = {path for path in extended if matches(path, method.rules)}
    replaced = trained - saved_shapes(method, pretrained).keys()
    extended_leaves = {path: leaf for path, leaf in extended.items() if path not in replaced}
    extended_leaves |= {path: jnp.asarray(leaf) for path, leaf in leaves.items()}
    params = flatten(method.reparametrize(unflatten(extended_leaves)))
    adapter_paths = {
        path for path in extended_leaves if path in leaves or matches(path, method.frozen_rules)
    }
    mask = {path: path in adapter_paths or path not in extended_leaves for path in params}
    return Adapter(unflatten(params), unflatten(mask), method, description)

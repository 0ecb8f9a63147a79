"""Encode the contents of an adapter's files from its trained leaves."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from fsl_jax.adapt.files.adapter_layout import CARD, CONFIG, HEAD, RECORD, TENSORS
from fsl_jax.adapt.files.adapter_leaves import is_head, leaf_shapes
from fsl_jax.adapt.files.adapter_record import AdapterRecord, encode_json, versions
from fsl_jax.adapt.files.model_card import model_card
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import format_method
from fsl_jax.adapt.peft.fused import with_shared_matrices
from fsl_jax.adapt.peft.fused_vera import with_shared_vectors
from fsl_jax.adapt.peft.header import header
from fsl_jax.adapt.peft.ia3 import with_whole_modules
from fsl_jax.adapt.peft.kinds import kind_of_method
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.tensor_files import encode_tensors

OWN_KIND = "FSL_JAX_"
"""The beginning of the names of kinds that PEFT does not have."""


def encoded_files(
    trained: Mapping[str, np.ndarray],
    method: Method,
    pretrained: Pretrained,
    description: Mapping[str, Any],
) -> dict[str, bytes]:
    """Return the contents of an adapter's files.

    Args:
      trained: the trained leaves by path, including those of a task head.
      method: the method that trained them.
      pretrained: the base model.
      description: the information for using the adapter for its task again, as JSON values.

    Returns:
      The contents by name, in the order in which they are to be written.
    """
    head = {path: leaf for path, leaf in trained.items() if is_head(path)}
    tensors = {path: leaf for path, leaf in trained.items() if not is_head(path)}
    for with_whole in (with_shared_matrices, with_shared_vectors, with_whole_modules):
        method, tensors = with_whole(method, tensors, pretrained)
    shapes, paths = leaf_shapes(tensors | head), list(tensors)
    config = header(OWN_KIND + method.name.upper(), pretrained)
    if kind := kind_of_method(method, paths, pretrained.config):
        tensors, config = kind.write(tensors, method, pretrained)
    card = model_card(method, paths, pretrained, kind, config["peft_type"], HEAD if head else None)
    files = {TENSORS: encode_tensors(tensors)} | ({HEAD: encode_tensors(head)} if head else {})
    files[CONFIG] = encode_json(config)
    record = AdapterRecord(
        method=format_method(method),
        base_model={"name": pretrained.name, "sha256": pretrained.sha256},
        description=dict(description),
        trained=shapes,
        versions=versions(),
        sha256={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        base_files=dict(pretrained.file_hashes),
    )
    # The record comes last: on an object store, a directory without it is not complete.
    return files | {CARD: card.encode(), RECORD: record.encode()}

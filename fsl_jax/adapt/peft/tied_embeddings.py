"""Embeddings that an adapter brings to a model whose output embedding is its word embedding."""

from collections.abc import Mapping

import numpy as np

from fsl_jax.adapt.peft.adapter_reader import AdapterReader
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.blocks.head_kinds import CLASSIFIERS, FEATURES, MASKED_LM
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained

OUTPUT = "lm_head.weight"
"""The name of the output embedding of every decoder."""

_WORDS = "embeddings/word/embedding"


def read_copies(
    reader: AdapterReader, brought: Mapping[str, np.ndarray], by_name: Mapping[str, str]
) -> tuple[list[str], set[str]]:
    """Find the embeddings that PEFT would untie, and that this model has only once.

    Args:
      reader: the adapter.
      brought: the tensors of whole modules that replace leaves, by name without a prefix.
      by_name: the names of all tensors in the file, by name without a prefix.

    Returns:
      A line for each problem, and the name of an output embedding that the file has as a copy.
    """
    if OUTPUT in brought or not _is_tied(reader.pretrained):
        return [], set()
    words = _word_embedding(reader.pretrained)
    base = np.asarray(flatten(reader.pretrained.params)[_WORDS], np.float32)
    if OUTPUT in by_name:
        taken, output = {by_name[OUTPUT]}, reader.tensors[by_name[OUTPUT]]
    elif words in brought and reader.values.get("ensure_weight_tying") is not True:
        taken, output = set(), base
    else:
        return [], set()
    if np.array_equal(brought.get(words, base), output):
        return [], taken
    name = by_name[words] if words in brought else by_name[OUTPUT]
    return [
        f"{name} is an embedding of its own in PEFT, and {reader.pretrained.name} has one for "
        "reading and for writing. Merge the adapter in PEFT (`merge_and_unload`), untie the "
        "embeddings there, and load the model"
    ], taken


def _is_tied(pretrained: Pretrained) -> bool:
    """Return True if the logits of a model come from its word embedding."""
    if pretrained.head == MASKED_LM:
        return True
    if pretrained.head in CLASSIFIERS or pretrained.head in FEATURES:
        return False
    return pretrained.is_language_model and "unembedding" not in pretrained.params


def _word_embedding(pretrained: Pretrained) -> str:
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    return next(table.canonical(rule.tensor) for rule in table.rules if rule.path == _WORDS)

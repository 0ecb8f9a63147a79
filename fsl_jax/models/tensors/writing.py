"""Write a checkpoint: from the leaves of the parameter tree to tensors."""

from collections.abc import Iterator, Mapping

import jax
import numpy as np

from fsl_jax.models.tensors.tensor_map import TensorMap, TensorRule


def write_tensors(
    leaves: Mapping[str, np.ndarray | jax.Array], tensor_map: TensorMap
) -> Iterator[tuple[str, np.ndarray]]:
    """Make the tensors of a checkpoint from the leaves of a tree; the inverse of `read_leaves`.

    Args:
      leaves: the leaves by path, stacked ones `[L, ...]`.
      tensor_map: the tensor map of the model and its head.

    Returns:
      An iterator over the names and tensors of the checkpoint.
    """
    for tensor, rules in _rules_by_tensor(tensor_map).items():
        parts = [(rule, np.asarray(leaves[rule.path])) for rule in rules]
        if "{layer}" not in tensor:
            yield tensor, _joined(parts)
            continue
        for layer in range(len(parts[0][1])):
            yield (
                tensor.format(layer=layer),
                _joined([(rule, leaf[layer]) for rule, leaf in parts]),
            )


def _rules_by_tensor(tensor_map: TensorMap) -> dict[str, list[TensorRule]]:
    """Return the rules of each tensor, in the order of its parts."""
    rules: dict[str, list[TensorRule]] = {}
    for rule in sorted(tensor_map.rules, key=lambda rule: rule.part):
        rules.setdefault(rule.tensor, []).append(rule)
    return rules


def _joined(parts: list[tuple[TensorRule, np.ndarray]]) -> np.ndarray:
    tensors = [rule.transform.to_tensor(leaf) for rule, leaf in parts]
    return tensors[0] if len(tensors) == 1 else np.concatenate(tensors, axis=parts[0][0].axis)

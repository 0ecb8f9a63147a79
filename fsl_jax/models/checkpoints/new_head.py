"""Draw a head that a checkpoint lacks."""

from collections.abc import Mapping

from absl import logging

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.head_kinds import CLASSIFIERS
from fsl_jax.models.blocks.heads import initial_head
from fsl_jax.models.blocks.layers import PRNGKey
from fsl_jax.models.checkpoints.head_tensors import CLASSES, is_unused, leaf_shapes
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.tensors.stored import StoredLeaf, in_memory


def with_head(
    source: str,
    config: Config,
    head: str,
    num_labels: int | None,
    key: PRNGKey,
    leaves: Mapping[str, StoredLeaf],
) -> dict[str, StoredLeaf]:
    """Add the leaves of a head that a checkpoint lacks, and log a warning that names them.

    Args:
      source: the model's name, for errors.
      config: the model's config.
      head: the kind of head.
      num_labels: the number of a classifier's classes; None for the checkpoint's number.
      key: a threefry key for drawing the leaves.
      leaves: the leaves of the checkpoint by path, including those of the head if it has them.

    Returns:
      The leaves of the model with the head.

    Raises:
      InputError: the checkpoint has a different number of classes, or the number is unknown.
    """
    labels = _labels(source, head, num_labels, leaves)
    kept = {path: leaf for path, leaf in leaves.items() if not is_unused(head, path)}
    absent = sorted(leaf_shapes(config, head, labels).keys() - kept.keys())
    if not absent:
        return kept
    logging.warning(
        "%s: the checkpoint has no head %s. These leaves are drawn at random, and useless until "
        "they are trained: %s",
        source,
        head,
        ", ".join(absent),
    )
    classifier = FAMILIES[config.family].classifier
    drawn = initial_head(config, head, classifier, labels, key, absent)
    return kept | {path: in_memory(array) for path, array in drawn.items()}


def _labels(
    source: str, head: str, num_labels: int | None, leaves: Mapping[str, StoredLeaf]
) -> int:
    stored = leaves[CLASSES].shape[-1] if CLASSES in leaves else None
    if None not in (stored, num_labels) and stored != num_labels:
        raise InputError(
            f"{source}: its head {head} has {stored} classes, and num_labels={num_labels} was "
            "asked for. Leave num_labels out, or load it without a head and train one of your own."
        )
    labels = stored or num_labels or 0
    if not labels and head in CLASSIFIERS:
        raise InputError(
            f"{source}: the checkpoint has no head {head}, so one is drawn at random. Say how many "
            "classes it must have, with num_labels."
        )
    return labels

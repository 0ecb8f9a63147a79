"""The table of added leaves: every kind of leaf that an adaptation can add beside a weight.

The layers in this folder apply such a leaf where they find it. All other code that needs facts
about a kind reads its entry here: merging, stacking adapters by row, and the checks of a new
method. To add a kind of leaf, add one entry to this table and one hook to a layer.

A leaf that only the `reparametrize` of a method reads is not in the table. The method declares it
(see `fsl_jax.models.blocks.intermediate_leaves`).
"""

import dataclasses
import enum
import re

from fsl_jax.errors import InputError

PROMPT_REASON = "a soft prompt is no weight of the model, but vectors before its tokens"
SUFFIX_REASON = "a soft prompt is no weight of the model, but vectors after its tokens"
PREFIX_REASON = "a prefix is no weight of the model, but keys and values before its own"
BOTTLENECK_REASON = "a bottleneck is not linear, so no weight of the model can do what it does"
BIAS_REASON = "the base model has no bias there"


class Merging(enum.Enum):
    """The change that an added leaf makes to its linear layer.

    Attributes:
      INPUT_FACTOR: multiplies the input, `[..., in]`, and so the rows of the kernel.
      OUTPUT_FACTOR: multiplies the whole output, `[..., out]`: columns of the kernel, and the bias.
      UPDATE: belongs to the low-rank update, which is added to the kernel.
      LENGTH: helps to set the lengths of the columns of the updated kernel.
      STAYS: belongs to a task head, which merging leaves unchanged.
    """

    INPUT_FACTOR = enum.auto()
    OUTPUT_FACTOR = enum.auto()
    UPDATE = enum.auto()
    LENGTH = enum.auto()
    STAYS = enum.auto()


@dataclasses.dataclass(frozen=True)
class AddedLeaf:
    """A kind of added leaf.

    Adapters of different sizes are stacked by padding their leaves with zeros. So if the size of a
    leaf can be chosen, as with a rank, padding with zeros must change nothing.

    Attributes:
      pattern: a regular expression for the whole path. Its group `layer` is the path of the layer
        that reads the leaf.
      weight: a regular expression for the path, counted from the layer, of the weight that the leaf
        belongs to. A test checks it on the trees of all families.
      neutral: the value with which the leaf changes nothing. A row of a batch gets it if its
        adapter has no such leaf.
      merging: how the leaf is merged into the linear layer, or a sentence for users that says why
        it cannot be.
      sized_by: the name of another leaf of the same layer with the same last axis. If an adapter
        has only that other leaf, it gets the neutral value at the size of that leaf.
    """

    pattern: str
    weight: str
    neutral: float
    merging: Merging | str
    sized_by: str = ""


def _beside_kernel(name: str, neutral: float, merging: Merging | str, **more: str) -> AddedLeaf:
    return AddedLeaf(rf"(?P<layer>.+)/{name}", "kernel", neutral, merging, **more)


# The first entry that matches a path counts. Reasons against merging are listed in this order.
ADDED_LEAVES: tuple[AddedLeaf, ...] = (
    AddedLeaf(r"(?P<layer>head)/.+", "kernel", 0.0, Merging.STAYS),
    _beside_kernel("lora_[ab]", 0.0, Merging.UPDATE),
    _beside_kernel("lora_e", 1.0, Merging.UPDATE, sized_by="lora_a"),
    _beside_kernel("lora_scale", 0.0, Merging.UPDATE),
    # A norm of 0 keeps the column's length.
    _beside_kernel("lora_(magnitude|norm)", 0.0, Merging.LENGTH),
    _beside_kernel("ia3", 1.0, Merging.OUTPUT_FACTOR),
    _beside_kernel("ia3_in", 1.0, Merging.INPUT_FACTOR),
    # A mask of 0 hides a vector.
    AddedLeaf(r"(?P<layer>.+)/prompt(_mask)?", "embedding", 0.0, PROMPT_REASON),
    AddedLeaf(r"(?P<layer>.+)/suffix(_mask)?", "embedding", 0.0, SUFFIX_REASON),
    AddedLeaf(r"(?P<layer>.+)/prefix_(key|value|mask)", "key/kernel", 0.0, PREFIX_REASON),
    AddedLeaf(
        r"(?P<layer>.+)/adapter/(sequential|parallel)_[a-z]+/((down|up)(_bias)?|scale)",
        "(output|down)/kernel",
        0.0,
        BOTTLENECK_REASON,
    ),
    _beside_kernel("bias", 0.0, BIAS_REASON),
)


def find_added_leaf(path: str) -> AddedLeaf | None:
    """Return the entry of the table for a leaf.

    Args:
      path: the path of the leaf in the whole tree, `layers/attention/query/lora_a`.

    Returns:
      The first entry that matches; None if the table lacks this kind.
    """
    return next((kind for kind in ADDED_LEAVES if re.fullmatch(kind.pattern, path)), None)


def layer_and_name(path: str, kind: AddedLeaf) -> tuple[str, str]:
    """Return the path of the layer that reads a leaf, and the leaf's path counted from there."""
    match = re.fullmatch(kind.pattern, path)
    if match is None:
        raise ValueError(f"{path} is not of the kind {kind.pattern}")
    return match["layer"], path[len(match["layer"]) + 1 :]


def neutral_value(path: str) -> float:
    """Return the value with which an added leaf changes nothing.

    Args:
      path: the path of the leaf in the whole tree.

    Returns:
      The value, which every element of the leaf has.

    Raises:
      InputError: the table lacks this kind of leaf.
    """
    kind = find_added_leaf(path)
    if kind is None:
        raise InputError(unknown_leaf(path))
    return kind.neutral


def unknown_leaf(path: str) -> str:
    """Say that the table lacks a leaf, and what to do about it."""
    return (
        f"{path}: this kind of added leaf is unknown, and the base model has no such leaf. Give "
        "the base model of this tree, or add the kind to the table in "
        "fsl_jax/models/blocks/added_leaves.py or to the `intermediate_leaves` of its method"
    )

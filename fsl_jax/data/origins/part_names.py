"""The names that the parts of a data set go by."""

from collections.abc import Iterable

from fsl_jax.errors import InputError

PART_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""The parts, and the names under which each is found."""


def part_of(name: str) -> str | None:
    """Return the part that goes by a name; None if none does."""
    return next((part for part, names in PART_NAMES.items() if name in names), None)


def chosen_parts(names: Iterable[str], source: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Choose the parts of a source that has more names than parts.

    Args:
      names: the names of its parts.
      source: the source, for the error.

    Returns:
      The name of each part, and the names that are no part or repeat one.

    Raises:
      InputError: none of them is the part to train on.
    """
    chosen: dict[str, str] = {}
    others = []
    for name in names:
        part = part_of(name)
        if part is None or part in chosen:
            others.append(name)
        else:
            chosen[part] = name
    if "train" not in chosen:
        found = ", ".join(map(repr, names)) or "none"
        raise InputError(
            f"{source} has no part 'train' to draw examples from; its parts are {found}"
        )
    return {part: chosen[part] for part in PART_NAMES if part in chosen}, tuple(others)

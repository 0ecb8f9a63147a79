"""Find labels in written text."""

import re
from collections.abc import Sequence

from fsl_jax.data.duplicates import normalized

NOTHING = "none"
"""The written form of an answer without a label or an entity."""


def find_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that a text names.

    Args:
      text: what a model wrote.
      labels: the labels; without them, the whole text is taken as one.

    Returns:
      The label that is the text; else the one whose words stand first in it, and of those that
      start at the same place the longest. None if there is none.
    """
    text = text.strip()
    if not labels:
        return text or None
    if text in labels:
        return text
    found = find_labels(text, labels)
    return found[0] if found else None


def find_labels(text: str, labels: Sequence[str]) -> list[str]:
    """Return the labels whose words stand in a text, in its order, each once.

    Args:
      text: what a model wrote.
      labels: the labels; a word that is part of a longer label found is not found again.

    Returns:
      The labels.
    """
    by_form: dict[str, str] = {}
    for label in labels:
        by_form.setdefault(normalized(label), label)
    forms = sorted((form for form in by_form if form), key=len, reverse=True)
    if not forms:
        return []
    # Letters and digits beside a label make it part of another word.
    pattern = rf"(?<![^\W_])(?:{'|'.join(map(re.escape, forms))})(?![^\W_])"
    found = re.findall(pattern, normalized(text))
    return list(dict.fromkeys(by_form[form] for form in found))

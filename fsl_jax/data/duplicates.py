"""Remove duplicate texts: texts that look the same to a reader are one example."""

import dataclasses
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from fsl_jax.data.examples import Example


def normalized(text: str) -> str:
    """Normalise a text for comparison: NFKC, case folded, white space collapsed.

    NFKC is applied again after case folding, since folding can undo it.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def text_hash(text: str, salt: str = "") -> bytes:
    """Hash a text; the result does not depend on row order, machine or library versions.

    Args:
      text: the text; its normalised form is hashed.
      salt: a different salt gives an independent hash.

    Returns:
      The SHA-256 digest.
    """
    return hashlib.sha256(f"{salt}\0{normalized(text)}".encode()).digest()


@dataclasses.dataclass(frozen=True)
class DistinctParts:
    """Three parts without duplicates.

    Attributes:
      train: the examples of the training pool.
      validation: the examples of the validation pool.
      test: the examples of the test set.
      duplicates_removed: the number of rows that were removed.
      contradictions_removed: the number of removed rows whose text has several labels in one part.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    duplicates_removed: int
    contradictions_removed: int


def remove_duplicates(
    train: Sequence[Example], validation: Sequence[Example], test: Sequence[Example]
) -> DistinctParts:
    """Keep each normalised text in one part, once, with one label.

    If a text is in several parts, it is kept only in the first of test, validation and train that
    has it, whatever its labels, so that a published test set does not change. Within a part the
    first copy is kept. If a text has two labels within one part, its label is unknown: all copies
    in that part and in later parts of this order are removed.

    Args:
      train: the rows of the training pool.
      validation: the rows of the validation pool; may be empty.
      test: the rows of the test set; may be empty.

    Returns:
      The three parts, each in its order, and the number of rows that were removed.
    """
    seen: set[str] = set()
    contradictions = 0
    kept = []
    for part in (test, validation, train):
        keys = [normalized(example.text) for example in part]
        contradictory = _with_several_labels(zip(keys, part, strict=True))
        contradictions += sum(key in contradictory for key in keys)
        seen |= contradictory
        kept.append(tuple(_unseen(zip(keys, part, strict=True), seen)))
    total = len(train) + len(validation) + len(test)
    return DistinctParts(
        train=kept[2],
        validation=kept[1],
        test=kept[0],
        duplicates_removed=total - sum(map(len, kept)),
        contradictions_removed=contradictions,
    )


def _with_several_labels(keyed: Iterable[tuple[str, Example]]) -> set[str]:
    labels = defaultdict(set)
    for key, example in keyed:
        labels[key].add(example.label)
    return {key for key, of_text in labels.items() if len(of_text) > 1}


def _unseen(keyed: Iterable[tuple[str, Example]], seen: set[str]) -> Iterable[Example]:
    for key, example in keyed:
        if key not in seen:
            seen.add(key)
            yield example

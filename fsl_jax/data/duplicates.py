"""Texts that are the same to a reader are the same example, and belong to one part only."""

import dataclasses
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from fsl_jax.data.examples import Example


def normalized(text: str) -> str:
    """The form by which texts are compared: NFKC, case folded, whitespace collapsed.

    Folding can undo the normal form, which is therefore taken again.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def text_hash(text: str, salt: str = "") -> bytes:
    """A number for a text that no order of rows, machine or library version changes.

    Args:
      text: its normalised form is what counts.
      salt: another salt gives an independent number.

    Returns:
      The SHA-256 digest.
    """
    return hashlib.sha256(f"{salt}\0{normalized(text)}".encode()).digest()


@dataclasses.dataclass(frozen=True)
class Distinct:
    """Three parts without duplicates, and how many rows that cost."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    duplicates_removed: int
    contradictions_removed: int


def remove_duplicates(
    train: Sequence[Example], validation: Sequence[Example], test: Sequence[Example]
) -> Distinct:
    """Leaves each normalised text in one part, once, with one label.

    The test set keeps its copy before validation does, and validation before train, whatever the
    labels say: a published test set stays what it is. Within a part the first copy stays. A text
    that has two labels within one part has no known label: all its copies go, those in the parts
    below too.

    Args:
      train: the rows of the training pool.
      validation: the rows of the validation pool, maybe none.
      test: the rows of the test set, maybe none.

    Returns:
      The three parts, each in the order it came in, and the number of rows left out.
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
    return Distinct(
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
    return {key for key, found in labels.items() if len(found) > 1}


def _unseen(keyed: Iterable[tuple[str, Example]], seen: set[str]) -> Iterable[Example]:
    for key, example in keyed:
        if key not in seen:
            seen.add(key)
            yield example

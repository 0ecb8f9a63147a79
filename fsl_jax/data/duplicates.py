"""Remove duplicate texts: texts that look the same to a reader are one example."""

import dataclasses
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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
      contradictions_removed: the number of removed rows whose text has several answers in one part.
      of_other_groups: the number of removed rows whose group is in an earlier part.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    duplicates_removed: int
    contradictions_removed: int
    of_other_groups: int = 0


Merge = Callable[[Sequence[Any]], Any]
"""Returns the one answer that different answers to one text make; None if they make none."""


def contradiction(answers: Sequence[Any]) -> None:
    """Make no answer out of several: where there is one right answer, it is not known."""


def remove_duplicates(
    train: Sequence[Example],
    validation: Sequence[Example],
    test: Sequence[Example],
    merge: Merge = contradiction,
) -> DistinctParts:
    """Keep each normalised text and each group in one part, each text once, with one answer.

    If a text or a group is in several parts, it is kept only in the first of test, validation and
    train that has it, whatever its answers, so that a published test set does not change. Within a
    part the first copy is kept. If a text has several answers within one part, they are merged into
    one. If that cannot be, its answer is unknown: all copies in that part and in later parts of
    this order are removed.

    Args:
      train: the rows of the training pool.
      validation: the rows of the validation pool; may be empty.
      test: the rows of the test set; may be empty.
      merge: makes one answer out of the different answers to one text.

    Returns:
      The three parts, each in its order, and the number of rows that were removed.
    """
    seen: set[str] = set()
    groups: set[str] = set()
    contradictions, in_groups = 0, 0
    kept = []
    for part in (test, validation, train):
        keys = [normalized(example.text) for example in part]
        answers = _answers(zip(keys, part, strict=True))
        merged = {key: merge(several) for key, several in answers.items() if len(several) > 1}
        contradictory = {key for key, answer in merged.items() if answer is None}
        contradictions += sum(key in contradictory for key in keys)
        seen |= contradictory
        distinct = list(_unseen(zip(keys, part, strict=True), seen, merged))
        alone = [example for example in distinct if example.group not in groups]
        in_groups += len(distinct) - len(alone)
        groups |= {example.group for example in alone if example.group}
        kept.append(tuple(alone))
    total = len(train) + len(validation) + len(test)
    return DistinctParts(
        train=kept[2],
        validation=kept[1],
        test=kept[0],
        duplicates_removed=total - sum(map(len, kept)),
        contradictions_removed=contradictions,
        of_other_groups=in_groups,
    )


def _answers(keyed: Iterable[tuple[str, Example]]) -> dict[str, list[Any]]:
    """Return the different answers to each text, in their order."""
    answers: dict[str, dict[Any, None]] = defaultdict(dict)
    for key, example in keyed:
        answers[key][example.answer] = None
    return {key: list(of_text) for key, of_text in answers.items()}


def _unseen(
    keyed: Iterable[tuple[str, Example]], seen: set[str], merged: Mapping[str, Any]
) -> Iterable[Example]:
    for key, example in keyed:
        if key not in seen:
            seen.add(key)
            changed = key in merged and merged[key] != example.answer
            yield dataclasses.replace(example, answer=merged[key]) if changed else example

"""Metrics of entities: strict precision, recall and F1 by type, and the report by tag."""

from collections import Counter
from collections.abc import Sequence

from fsl_jax.tasks.metrics.classes import class_counts
from fsl_jax.tasks.parts.iob import OUTSIDE, entities

Tags = Sequence[str]
Counts = tuple[int, int, int]


def entity_counts(answers: Sequence[Tags | None], correct: Sequence[Tags]) -> dict[str, Counts]:
    """Count for each type the entities that were rightly found, found, and there.

    An entity is right if its type and both its ends are. nervaluate counts, by its strict rule.

    Args:
      answers: the tags of each text; None for none.
      correct: the correct tags of each text.

    Returns:
      The three counts by type, sorted.
    """
    from nervaluate.entities import Entity
    from nervaluate.strategies import StrictEvaluation

    strict = StrictEvaluation()
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for answer, truth in zip(answers, correct, strict=True):
        sides = [
            [Entity(kind, start, end - 1) for kind, start, end in entities(tags)]
            for tags in ((OUTSIDE,) * len(truth) if answer is None else answer, truth)
        ]
        for kind in {entity.label for side in sides for entity in side}:
            given, there = ([each for each in side if each.label == kind] for side in sides)
            result, _ = strict.evaluate(there, given, [kind])
            right[kind] += result.correct
            found[kind] += result.actual
            held[kind] += result.possible
    types = sorted(found.keys() | held.keys())
    return {kind: (right[kind], found[kind], held[kind]) for kind in types}


def tag_counts(answers: Sequence[Tags | None], correct: Sequence[Tags]) -> dict[str, Counts]:
    """Count for each tag but `O` the words that rightly got it, got it, and should have it.

    Args:
      answers: the tags of each text; None for none.
      correct: the correct tags of each text.

    Returns:
      The three counts by tag: the `B-` and the `I-` of each type in turn.
    """
    given = [
        tag
        for answer, truth in zip(answers, correct, strict=True)
        for tag in ((OUTSIDE,) * len(truth) if answer is None else answer)
    ]
    counts = class_counts(given, [tag for truth in correct for tag in truth])
    counts.pop(OUTSIDE, None)
    return dict(sorted(counts.items(), key=lambda item: (item[0][2:], item[0])))

"""Find the columns of the texts that are read: one, or two that are compared."""

from collections.abc import Sequence

from fsl_jax.tasks.task import by_name

TEXTS: tuple[str, ...] = (
    "text",
    "sentence",
    "content",
    "review",
    "tweet",
    "headline",
    "title",
    "utterance",
)
TEXTS += ("document", "message", "comment", "body", "query", "question", "input")
"""Usual names of the column of a text that is read alone, the most usual first."""

PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_A", "sentence_B"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
)
"""Usual names of the columns of two texts that are read together."""


def find_texts(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of two texts, or that of one; none if no name is known."""
    for pair in PAIRS:
        if len(found := by_name(columns, pair)) == 2:
            return tuple(found)
    return tuple(by_name(columns, TEXTS)[:1])

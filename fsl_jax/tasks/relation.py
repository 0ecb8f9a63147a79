"""Relation extraction: which relation two marked entities of a text have."""

from collections.abc import Sequence
from typing import Any, ClassVar

from fsl_jax.data.examples import TEXT, Example
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.metrics.classes import accuracy
from fsl_jax.tasks.metrics.relations import is_no_relation, relation_f1
from fsl_jax.tasks.parts.marked_entities import head_and_tail, mark, marked_already
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Values

HEAD, TAIL = "head", "tail"


class Relation(Classification):
    """Says how two entities are related; the answer is the label of the relation.

    Both entities are marked in the text of an example, and are parts of their own. They may be
    given by the numbers of their words, by the places of their characters, by their words, or by
    the marks `<e1>` and `<e2>` in the text.
    """

    name = "relation"
    description = "the relation of two entities of a text"
    roles: ClassVar[Roles] = {
        "text": ("tokens", "token", "text", "sentence"),
        HEAD: ("head", "h", "subject", "subj", "entity1", "e1"),
        TAIL: ("tail", "t", "object", "obj", "entity2", "e2"),
        "label": ("relation", "label", "relation_type", "rel"),
        "identity": ("id", "idx", "guid"),
        "group": (),
    }
    optional = frozenset((HEAD, TAIL, "identity", "group"))
    texts = frozenset(("text",))
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "accuracy"),
        Metric("relation_f1", "micro F1 of relations"),
    )

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns by their names."""
        return super(Classification, self).find(columns, rows)

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise two entities in columns, or marks in the text."""
        if HEAD in columns and TAIL in columns:
            return all(isinstance(value_of(row, columns["label"][0]), str | int) for row in rows)
        texts = [value_of(row, columns["text"][0]) for row in rows]
        return bool(texts) and all(isinstance(t, str) and marked_already(t) for t in texts)

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the text, mark both entities in it, and read the relation."""
        reader = RowReader(row, columns)
        words = reader.value("text")
        is_text = isinstance(words, str) or words is None
        text = reader.text("text") if is_text else " ".join(reader.words("text"))
        label = reader.label("label")
        parts = {TEXT: text, HEAD: "", TAIL: ""} if reader.problems else _parts(reader, text, words)
        return reader.example(parts, label)

    def score(self, answers: Sequence[str | None], examples: Sequence[Example]) -> Scores:
        """Return accuracy, and micro F1 without "no relation"."""
        correct = [example.answer for example in examples]
        return {
            "accuracy": accuracy(answers, correct),
            "relation_f1": relation_f1(answers, correct),
        }

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score a relation at random, the most frequent one, and the most frequent that holds."""
        found = super().baselines(train, test)
        holding = [example for example in train if not is_no_relation(example.answer)]
        if 0 < len(holding) < len(train):
            found["majority of relations"] = super().baselines(holding, test)["majority"]
        return found


def _parts(reader: RowReader, text: str, words: Any) -> dict[str, str]:
    if HEAD not in reader.columns or TAIL not in reader.columns:
        spans = marked_already(text)
        if spans is None:
            reader.add("no marks <e1>, </e1>, <e2> and </e2> around two entities", "text")
            return {}
        text, head, tail = spans
    else:
        raw = reader.value("text")
        # Places count from the beginning of what was written, white space too.
        text = raw if isinstance(raw, str) else text
        head, tail = head_and_tail(reader, text, None if isinstance(words, str) else words)
    if reader.problems:
        return {}
    parts = {TEXT: mark(text, head, tail).strip()}
    return parts | {HEAD: text[slice(*head)], TAIL: text[slice(*tail)]}

"""Extractive question answering: the answer is a piece of a paragraph, or there is none."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fsl_jax.data.draws.at_random import draw_at_random
from fsl_jax.data.duplicates import normalized
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.metrics.spans import exact_match, plain_words, word_f1
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

QUESTION, CONTEXT = "question", "context"
UNANSWERABLE = "unanswerable"
"""The written form of there being no answer."""

Answers = tuple[tuple[str, int], ...]
"""The texts of answers and the places of their first characters; none if there is no answer."""

_SENTENCES = re.compile(r"(?<=[.!?。])\s+")


class QuestionAnswering(Task):
    """Answers questions on paragraphs; an answer is a tuple of pairs of a text and its place.

    Correct answers may be several, any of which is right, or none. The questions on one paragraph
    are a group.
    """

    name = "question_answering"
    description = "questions whose answers stand in a paragraph"
    roles: ClassVar[Roles] = {
        QUESTION: ("question", "query"),
        CONTEXT: ("context", "passage", "paragraph"),
        "answers": ("answers", "answer"),
        "impossible": ("is_impossible",),
        "identity": ("id", "qid", "idx"),
        "group": ("group",),
    }
    optional = frozenset(("impossible", "identity", "group"))
    texts = frozenset((QUESTION, CONTEXT))
    metrics = (Metric("f1", "F1"), Metric("exact_match", "exact match"))

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise answers with places, and texts that stand in their paragraphs."""
        values = [value_of(row, columns["answers"][0]) for row in rows]
        contexts = [value_of(row, columns[CONTEXT][0]) for row in rows]
        if not all(isinstance(context, str) for context in contexts):
            return False
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            pairs = zip(contexts, values, strict=True)
            inside = sum(isinstance(v, str) and v in context for context, v in pairs)
            return inside > len(texts) / 2
        return all(
            value is None
            or (isinstance(value, Mapping) and "text" in value)
            or (isinstance(value, list) and all(isinstance(each, Mapping) for each in value))
            for value in values
        )

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the question, the paragraph, and answers, which must stand where they say."""
        reader = RowReader(row, columns)
        question = reader.text(QUESTION)
        reader.text(CONTEXT)
        # With the white space around it, from whose beginning places are counted.
        context = reader.value(CONTEXT)
        answers = _answers(reader, context if isinstance(context, str) else "")
        parts = {QUESTION: question, CONTEXT: context}
        return reader.example(parts, answers, group="" if reader.problems else _group(context))

    def merged(self, answers: Sequence[Answers]) -> Answers | None:
        """Take all answers, unless there is none at the same time."""
        return tuple(dict.fromkeys(sum(answers, ()))) if all(answers) else None

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw K questions to train on, and K on other paragraphs."""
        return draw_at_random(dataset, shots, seed)

    def written(self, example: Example) -> str:
        """Write the first answer."""
        return example.answer[0][0] if example.answer else UNANSWERABLE

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> Answers | None:
        """Read an answer; its place is where it stands first, or -1."""
        text = text.strip()
        if not text:
            return None
        if normalized(text).rstrip(".") in (UNANSWERABLE, "no answer"):
            return ()
        context = example.parts[CONTEXT]
        place = context.find(text)
        return ((text, place if place >= 0 else context.lower().find(text.lower())),)

    def score(self, answers: Sequence[Answers | None], examples: Sequence[Example]) -> Scores:
        """Return F1 of words and exact match, by the rules of SQuAD."""
        f1, exact = _by_question(answers, examples)
        return {"f1": float(np.mean(f1)), "exact_match": float(np.mean(exact))}

    def details(
        self, answers: Sequence[Answers | None], examples: Sequence[Example]
    ) -> list[Table]:
        """Return the scores of questions that have an answer, and of those that have none."""
        f1, exact = _by_question(answers, examples)
        has = np.array([bool(example.answer) for example in examples])
        rows = tuple(
            (name, float(f1[of].mean()), float(exact[of].mean()), int(of.sum()))
            for name, of in (("answerable", has), ("unanswerable", ~has))
            if of.any()
        )
        return [Table("By kind of question", ("question", "F1", "exact match", "support"), rows)]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score no answer to each question, and the sentence that has most of its words."""
        return {
            "no answer": self.score([()] * len(test), test),
            "nearest sentence": self.score([_nearest_sentence(e) for e in test], test),
        }


def _answers(reader: RowReader, context: str) -> Answers:
    value, role = reader.value("answers"), "answers"
    if reader.value("impossible") is True or value in ("", []):
        return ()
    if isinstance(value, str):
        place = context.find(value.strip())
        if place < 0:
            reader.add(f"an answer that does not stand in column {reader.column(CONTEXT)!r}", role)
        return ((value.strip(), place),)
    pairs = _pairs(value)
    if pairs is None:
        reader.add("no answers with `text` and `answer_start`", role)
        return ()
    for text, start in pairs:
        if context[start : start + len(text)] != text or start < 0 or not text:
            reader.add("an answer that is not at its offset", role)
    return tuple(dict.fromkeys(pairs))


def _pairs(value: Any) -> list[tuple[str, int]] | None:
    """Return the texts and places of answers: a mapping of lists, or a list of mappings."""
    if isinstance(value, Mapping):
        texts, starts = value.get("text"), value.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
    elif isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        texts, starts = ([each.get(n) for each in value] for n in ("text", "answer_start"))
    else:
        return None
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        return None
    sound = all(isinstance(t, str) and type(s) is int for t, s in zip(texts, starts, strict=True))
    return list(zip(texts, starts, strict=True)) if sound else None


def _group(context: str) -> str:
    return hashlib.sha256(normalized(context).encode()).hexdigest()[:16]


def _by_question(
    answers: Sequence[Answers | None], examples: Sequence[Example]
) -> tuple[np.ndarray, np.ndarray]:
    """Return F1 and exact match of each question; both are 0 where no answer could be read."""
    f1, exact = [], []
    for answer, example in zip(answers, examples, strict=True):
        references = [text for text, _ in example.answer]
        given = answer[0][0] if answer else ""
        f1.append(0.0 if answer is None else word_f1(given, references))
        exact.append(0.0 if answer is None else exact_match(given, references))
    return np.array(f1), np.array(exact)


def _nearest_sentence(example: Example) -> Answers:
    context = example.parts[CONTEXT]
    asked = set(plain_words(example.parts[QUESTION]))
    sentences = _SENTENCES.split(context)
    best = max(sentences, key=lambda sentence: len(asked & set(plain_words(sentence))))
    return ((best, context.find(best)),)

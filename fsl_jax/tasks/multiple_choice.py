"""Multiple choice: each question has its own choices, of which one is right."""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fsl_jax.data.draws.at_random import draw_at_random
from fsl_jax.data.duplicates import normalized
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.metrics.classes import accuracy
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values, by_name

QUESTION, CONTEXT = "question", "context"
LETTERS = string.ascii_uppercase
MOST_CHOICES = len(LETTERS)

_CHOICE_COLUMN = re.compile(
    r"(?:choice|option|ending|sol|answer)[_ ]?([1-9]\d?|0|[a-h])|([a-h])", re.I
)
_LETTER = re.compile(r"\(?([A-Za-z])\)?(?:[.:)]+(?:\s.*)?)?", re.DOTALL)


class MultipleChoice(Task):
    """Chooses one of a few texts; the answer is its number, from 0.

    The choices are a list, a mapping with `text` and perhaps `label`, or a column each. The answer
    is a number, a letter, or the label or the text of the choice. The choices of an example are its
    parts `choice 1`, `choice 2` and so on.
    """

    name = "multiple_choice"
    description = "questions with a few choices each"
    roles: ClassVar[Roles] = {
        QUESTION: ("question", "query", "stem", "ctx", "goal", "premise", "sent1", "sentence"),
        CONTEXT: ("context", "passage", "article"),
        "choices": ("choices", "options", "endings", "candidates"),
        "answer": ("answerKey", "answer_key", "answer", "label", "correct", "gold", "target"),
        "identity": ("id", "idx", "qid"),
        "group": (),
    }
    optional = frozenset((CONTEXT, "identity", "group"))
    texts = frozenset((QUESTION,))
    metrics = (Metric("accuracy", "accuracy"),)

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns; without a column of choices, those that are named as choices."""
        found = super().find(columns, rows)
        if "choices" not in found:
            named = tuple(column for column in columns if _CHOICE_COLUMN.fullmatch(column))
            found |= {"choices": named} if len(named) > 1 else {}
        if by_name(columns, ("sent1", "sent2")) == ["sent1", "sent2"]:
            found[QUESTION] = ("sent1", "sent2")
        return found

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise texts to choose from, and answers that choose one of them."""
        read = self.reader(rows, columns)
        for row in rows:
            try:
                read(row)
            except ValueError:
                return False
        return bool(rows)

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the question, its choices and the answer, whose numbers start from 0."""
        return _read(row, columns, 0)

    def reader(self, rows: Sequence[Values], columns: Columns) -> Callable[[Values], Example]:
        """Return a function that reads a row; numbers start from 1 if no answer has 0.

        To start from 1 there must also be an answer with the number of its last choice.
        """
        numbers = [(_whole(value_of(row, columns["answer"][0])), row) for row in rows]
        from_one = all(number != 0 for number, _ in numbers) and any(
            number is not None and number == len(_choices(RowReader(row, columns))[0])
            for number, row in numbers
        )
        return lambda row: _read(row, columns, int(from_one))

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw K questions at random."""
        return draw_at_random(dataset, shots, seed)

    def written(self, example: Example) -> str:
        """Write the letter of the choice."""
        return LETTERS[example.answer]

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> int | None:
        """Read a letter, the text of a choice, or the first choice whose text is named."""
        text = text.strip()
        texts = choices(example)
        if match := _LETTER.fullmatch(text):
            letter = LETTERS.index(match[1].upper())
            if letter < len(texts) and (len(text) < 4 or match[1].isupper()):
                return letter
        forms = [normalized(each) for each in texts]
        written = normalized(text)
        if written in forms:
            return forms.index(written)
        places = [(written.find(form), -len(form), i) for i, form in enumerate(forms)]
        inside = [place for place in places if place[0] >= 0]
        return min(inside)[2] if inside else None

    def score(self, answers: Sequence[int | None], examples: Sequence[Example]) -> Scores:
        """Return accuracy."""
        return {"accuracy": accuracy(answers, [example.answer for example in examples])}

    def details(self, answers: Sequence[int | None], examples: Sequence[Example]) -> list[Table]:
        """Return how often each place was chosen, was right, and was rightly chosen."""
        correct = [example.answer for example in examples]
        given, held = Counter(answers), Counter(correct)
        right = Counter(a for a, c in zip(answers, correct, strict=True) if a == c)
        most = max(len(choices(example)) for example in examples)
        rows = tuple((LETTERS[i], given[i], held[i], right[i]) for i in range(most))
        return [Table("By place of the choice", ("choice", "chosen", "correct", "both"), rows)]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score a choice at random, the most frequent place in train, and the longest choice."""
        place = Counter(sorted(example.answer for example in train)).most_common(1)[0][0]
        longest = [max(range(len(c)), key=lambda i: len(c[i])) for c in map(choices, test)]
        return {
            "chance": {"accuracy": float(np.mean([1 / len(choices(e)) for e in test]))},
            "majority": self.score([place] * len(test), test),
            "longest choice": self.score(longest, test),
        }


def choices(example: Example) -> list[str]:
    """Return the choices of an example, in their order."""
    names = (f"choice {number}" for number in range(1, len(example.parts) + 1))
    return [example.parts[name] for name in names if name in example.parts]


def _read(row: Values, columns: Columns, first: int) -> Example:
    reader = RowReader(row, columns)
    question = "\n".join(reader.texts(QUESTION).values())
    context = reader.optional_text(CONTEXT)
    texts, names = _choices(reader)
    if not 2 <= len(texts) <= MOST_CHOICES:
        reader.add(f"no list of 2 to {MOST_CHOICES} choices", "choices")
    answer = _index(reader.value("answer"), texts, names, first)
    if answer is None:
        reader.add("an answer that is none of the choices", "answer")
    parts = {CONTEXT: context} if context else {}
    numbered = {f"choice {number}": text for number, text in enumerate(texts, 1)}
    return reader.example({**parts, QUESTION: question, **numbered}, answer)


def _choices(reader: RowReader) -> tuple[list[str], list[str]]:
    """Return the texts of the choices, and their labels where they have any."""
    columns = reader.columns["choices"]
    if len(columns) > 1:
        values = [(column, value_of(reader.row, column)) for column in columns]
        # A column without a value is a choice less.
        kept = [(c, str(v).strip()) for c, v in values if v is not None and str(v).strip()]
        matches = [_CHOICE_COLUMN.fullmatch(column) for column, _ in kept]
        return [v for _, v in kept], [(m and (m[1] or m[2])) or "" for m in matches]
    names: Sequence[Any] = []
    value = reader.value("choices")
    if isinstance(value, Mapping):
        names, value = value.get("label") or [], value.get("text")
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        names, value = [each.get("label") for each in value], [each.get("text") for each in value]
    sound = isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value)
    return ([text.strip() for text in value] if sound else []), [str(name) for name in names]


def _index(value: Any, texts: list[str], names: list[str], first: int) -> int | None:
    """Return the number of the choice that an answer means; its text counts before its number."""
    if isinstance(value, str) and value.strip() in texts:
        return texts.index(value.strip())
    number = _whole(value)
    if number is None:
        return _of_label(value, names, len(texts))
    return number - first if 0 <= number - first < len(texts) else None


def _of_label(value: Any, names: list[str], count: int) -> int | None:
    text = str(value).strip().casefold() if isinstance(value, str) else ""
    folded = [name.casefold() for name in names]
    if text and text in folded:
        return folded.index(text)
    letter = LETTERS.casefold().find(text) if len(text) == 1 else -1
    return letter if 0 <= letter < count else None


def _whole(value: Any) -> int | None:
    """Return a whole number, which may be written as text; None for another value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if re.fullmatch(r"\d{1,3}", text) else None

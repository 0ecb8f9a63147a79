"""Text to text: translation, summaries, headlines, replies in a dialogue, stories, code."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from fsl_jax.data.draws.at_random import draw_at_random
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.tasks.metrics.overlap import bleu, chrf
from fsl_jax.tasks.metrics.rouge import rouge
from fsl_jax.tasks.parts.row_reader import RowReader, text_problems, value_of
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

SOURCE = "source"
LENGTH_GROUPS = 4

References = tuple[str, ...]

_SENTENCES = re.compile(r"(?<=[.!?。])\s+")


class Generation(Task):
    """Writes a text for a text; the answer is the tuple of the texts that would be right.

    Several columns of sources are parts by their names, which a template may use, such as
    `instruction` and `input`. A source that is a list of turns is a dialogue, whose last turn is
    what is to be written.
    """

    name = "generation"
    description = "a text for each text, such as its translation, its summary or the next turn"
    roles: ClassVar[Roles] = {
        SOURCE: ("source", "src", "input", "text", "document", "article", "dialogue", "question")
        + ("prompt", "instruction", "command", "body", "messages", "conversations", "dialog")
        + ("meaning_representation", "mr", "story"),
        "target": ("target", "tgt", "output", "summary", "headline", "title", "answer", "actions")
        + ("response", "completion", "references", "highlights", "canonical_solution", "code")
        + ("human_reference", "ref", "translation", "reply"),
        "identity": ("id", "idx", "task_id"),
        "group": (),
    }
    optional = frozenset(("target", "identity", "group"))
    texts = frozenset((SOURCE,))
    metrics = (
        Metric("chrf", "chrF"),
        Metric("bleu", "BLEU"),
        Metric("rouge_1", "ROUGE-1"),
        Metric("rouge_2", "ROUGE-2"),
        Metric("rouge_l", "ROUGE-L"),
        Metric("exact_match", "exact match"),
    )

    def find(self, columns: Sequence[str], rows: Sequence[Values]) -> dict[str, tuple[str, ...]]:
        """Find the columns; an instruction and its input are both sources."""
        found = super().find(columns, rows)
        folded = {column.casefold(): column for column in columns}
        if "instruction" in folded and "input" in folded and "output" in folded:
            found[SOURCE] = (folded["instruction"], folded["input"])
        return found

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise two texts, and dialogues."""
        if "target" not in columns:
            return bool(rows) and all(_turns(value_of(row, columns[SOURCE][0])) for row in rows)
        targets = [value_of(row, columns["target"][0]) for row in rows]
        sources = [value_of(row, column) for row in rows for column in columns[SOURCE]]
        return all(isinstance(source, str | None) for source in sources) and all(
            isinstance(target, str | None) or _all_texts(target) for target in targets
        )

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the sources and the text or texts that are to be written."""
        reader = RowReader(row, columns)
        if "target" not in columns:
            return _dialogue(reader)
        names = columns[SOURCE] if len(columns[SOURCE]) > 1 else (SOURCE,)
        values = [value_of(row, column) for column in columns[SOURCE]]
        parts = {}
        for name, column, value in zip(names, columns[SOURCE], values, strict=True):
            # The input of an instruction may be empty, if there is another source.
            if value not in (None, "") or len(names) == 1 or not any(values):
                reader.problems += [f"{each} in column {column!r}" for each in text_problems(value)]
            parts[name] = value.strip() if isinstance(value, str) else ""
        return reader.example(parts, _references(reader))

    def merged(self, answers: Sequence[References]) -> References:
        """Take all texts as references, since all are right."""
        return tuple(dict.fromkeys(sum(answers, ())))

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw K examples at random."""
        return draw_at_random(dataset, shots, seed)

    def written(self, example: Example) -> str:
        """Write the first reference."""
        return example.answer[0]

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> References | None:
        """Take the text without white space around it; no text is no answer."""
        return (text.strip(),) if text.strip() else None

    def score(self, answers: Sequence[References | None], examples: Sequence[Example]) -> Scores:
        """Return chrF, BLEU, ROUGE and the share of texts that are the same as a reference."""
        given = [answer[0] if answer else "" for answer in answers]
        references = [example.answer for example in examples]
        return {
            "chrf": chrf(given, references),
            "bleu": bleu(given, references),
            **rouge(given, references),
            "exact_match": float(np.mean([g in r for g, r in zip(given, references, strict=True)])),
        }

    def details(
        self, answers: Sequence[References | None], examples: Sequence[Example]
    ) -> list[Table]:
        """Return chrF by the length of the references, and how long answers are beside them."""
        given = [answer[0] if answer else "" for answer in answers]
        lengths = np.array([len(example.answer[0]) for example in examples])
        order = np.argsort(lengths, kind="stable")
        rows = []
        for part in np.array_split(order, min(LENGTH_GROUPS, len(order))):
            texts = [given[i] for i in part]
            score = chrf(texts, [examples[i].answer for i in part])
            written = float(np.mean([len(text) for text in texts]))
            span = f"{lengths[part].min()} to {lengths[part].max()}"
            rows.append((span, score, written, len(part)))
        columns = ("characters of the reference", "chrF", "mean characters written", "support")
        return [Table("By length of the reference", columns, tuple(rows))]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score the source itself, and its first sentence."""
        sources = [example.text for example in test]
        return {
            "copy": self.score([(source,) for source in sources], test),
            "first sentence": self.score([(_SENTENCES.split(s)[0],) for s in sources], test),
        }


def _references(reader: RowReader) -> References:
    value = reader.value("target")
    if not isinstance(value, list):
        return (reader.text("target"),)
    if not value:
        reader.add("no text", "target")
    for problem in {problem for text in value for problem in text_problems(text)}:
        reader.add(problem, "target")
    return tuple(dict.fromkeys(str(text).strip() for text in value))


def _dialogue(reader: RowReader) -> Example:
    turns = _turns(reader.value(SOURCE))
    if not turns:
        reader.add(
            "no dialogue: a list of two turns or more, each with a speaker and a text", SOURCE
        )
        return reader.example({}, ())
    spoken = [f"{speaker}: {text}" if speaker else text for speaker, text in turns[:-1]]
    return reader.example({SOURCE: "\n".join(spoken)}, (turns[-1][1],))


def _turns(value: Any) -> list[tuple[str, str]]:
    """Return the speakers and texts of a dialogue; nothing if a value is none."""
    turns = []
    for turn in value if isinstance(value, list) else ():
        if isinstance(turn, Mapping):
            speaker, text = (
                next((turn[name] for name in names if name in turn), None)
                for names in (("role", "from", "speaker"), ("content", "value", "text"))
            )
        else:
            speaker, text = "", turn
        if not isinstance(speaker, str) or text_problems(text):
            return []
        turns.append((speaker, str(text).strip()))
    return turns if len(turns) > 1 else []


def _all_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)

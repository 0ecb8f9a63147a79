"""Tagging: entities in texts whose words are given, such as names of persons and places."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from fsl_jax.data.draws.covering import draw_covering
from fsl_jax.data.examples import TEXT, Dataset, Example, Split
from fsl_jax.tasks.metrics.classes import counts_table, scores
from fsl_jax.tasks.metrics.entities import entity_counts, tag_counts
from fsl_jax.tasks.parts.iob import OUTSIDE, entities, tags_of, to_iob2
from fsl_jax.tasks.parts.row_reader import RowReader, value_of
from fsl_jax.tasks.parts.written_entities import read_entities, write_entities
from fsl_jax.tasks.task import Columns, Metric, Roles, Scores, Table, Task, Values

Tags = tuple[str, ...]

_SEVERAL = ","


class Tagging(Task):
    """Says which words of a text are entities, and of which type.

    The text of an example is its words with single spaces between them. The answer is a tag in IOB2
    for each word; the labels are the types.
    """

    name = "tagging"
    description = "entities in texts that are lists of words, each with a tag such as B-person"
    roles: ClassVar[Roles] = {
        "words": ("tokens", "words"),
        "tags": ("tags", "ner_tags", "ner", "labels", "entities", "pos_tags"),
        "identity": ("id", "idx", "guid"),
        "group": (),
    }
    optional = frozenset(("identity", "group"))
    texts = frozenset(("words",))
    metrics = (
        Metric("entity_f1", "entity F1"),
        Metric("entity_precision", "entity precision"),
        Metric("entity_recall", "entity recall"),
    )

    def recognises(self, rows: Sequence[Values], columns: Columns) -> bool:
        """Recognise two lists that are as long as each other."""
        pairs = [
            tuple(value_of(row, columns[role][0]) for role in ("words", "tags")) for row in rows
        ]
        return bool(pairs) and all(
            isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)
            for words, tags in pairs
        )

    def read(self, row: Values, columns: Columns) -> Example:
        """Read the words and their tags, of which a word with several keeps the first."""
        reader = RowReader(row, columns)
        words = ["_".join(word.split()) for word in reader.words("words")]
        tags = reader.value("tags")
        if not all(words):
            reader.add("an empty word", "words")
        if not isinstance(tags, Sequence) or isinstance(tags, str):
            reader.add("no list of tags", "tags")
        elif not all(isinstance(tag, str) and tag.strip() for tag in tags):
            reader.add("a tag that is no text (numbers need the names of their classes)", "tags")
        elif words and len(tags) != len(words):
            reader.add(f"not as many tags as words in column {reader.column('words')!r}", "tags")
        elif words:
            answer = to_iob2([tag.partition(_SEVERAL)[0].strip() for tag in tags])
            return reader.example({TEXT: " ".join(words)}, answer)
        return reader.example({}, ())

    def remarks(self, rows: Sequence[Values], columns: Columns) -> list[str]:
        """Count the words that have several tags."""
        column = columns["tags"][0]
        several = sum(
            isinstance(tag, str) and _SEVERAL in tag
            for row in rows
            for tag in value_of(row, column) or ()
        )
        return [f"{several} words have several tags, the first of which counts"] if several else []

    def labels_in(self, example: Example) -> tuple[str, ...]:
        """Return the types of the entities."""
        return tuple(dict.fromkeys(kind for kind, *_ in entities(example.answer or ())))

    def renamed(self, example: Example, names: Mapping[str, str]) -> Example:
        """Give types other names."""
        found = [
            (names.get(kind, kind), start, end) for kind, start, end in entities(example.answer)
        ]
        return replace(example, answer=tags_of(found, len(example.answer)))

    def stratum(self, example: Example) -> Hashable:
        """Tell texts with entities from those without."""
        return bool(self.labels_in(example))

    def problems(self, labels: Sequence[str]) -> list[str]:
        """Ask for one type of entities."""
        return [] if labels else ["no word of train has another tag than O"]

    def draw(self, dataset: Dataset, shots: int, seed: int) -> Split:
        """Draw as few texts as have each type K times."""
        return draw_covering(dataset, shots, seed, lambda e: frozenset(self.labels_in(e)))

    def written(self, example: Example) -> str:
        """Write each entity and its type."""
        return write_entities(_words(example), entities(example.answer))

    def parse(self, text: str, example: Example, labels: Sequence[str] = ()) -> Tags | None:
        """Read the entities that stand in the text; what does not stand there is passed over."""
        words = _words(example)
        found = read_entities(text, words, labels)
        return None if found is None else tags_of(found, len(words))

    def score(self, answers: Sequence[Tags | None], examples: Sequence[Example]) -> Scores:
        """Return F1, precision and recall of entities, which are right as a whole or not at all."""
        counts = entity_counts(answers, [example.answer for example in examples])
        sums = tuple(map(sum, zip(*counts.values(), strict=True))) if counts else (0, 0, 0)
        precision, recall, f1 = scores(*sums)
        return {"entity_f1": f1, "entity_precision": precision, "entity_recall": recall}

    def details(self, answers: Sequence[Tags | None], examples: Sequence[Example]) -> list[Table]:
        """Return precision, recall and F1 by type, and by tag."""
        correct = [example.answer for example in examples]
        return [
            counts_table(entity_counts(answers, correct), "By type of entity", "type"),
            counts_table(tag_counts(answers, correct), "By tag of a word", "tag"),
        ]

    def baselines(self, train: Sequence[Example], test: Sequence[Example]) -> dict[str, Scores]:
        """Score no entities at all, and those that were entities in train, wherever they stand."""
        known = {
            tuple(_words(example)[start:end]): kind
            for example in train
            for kind, start, end in entities(example.answer)
        }
        nothing = [(OUTSIDE,) * len(example.answer) for example in test]
        return {
            "no entities": self.score(nothing, test),
            "entities of train": self.score([_remembered(e, known) for e in test], test),
        }


def _words(example: Example) -> list[str]:
    return example.parts[TEXT].split(" ")


def _remembered(example: Example, known: Mapping[tuple[str, ...], str]) -> Tags:
    """Tag the longest known entity that begins at each word."""
    words, found, start = _words(example), [], 0
    longest = max(map(len, known), default=0)
    while start < len(words):
        ends = range(min(len(words), start + longest), start, -1)
        end = next((end for end in ends if tuple(words[start:end]) in known), None)
        if end is not None:
            found.append((known[tuple(words[start:end])], start, end))
        start = end or start + 1
    return tags_of(found, len(words))

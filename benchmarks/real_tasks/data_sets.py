"""A real data set for each task; some give the texts of another task other answers."""

import dataclasses
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.real_texts.workload import load_texts
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.tasks import load_dataset, make_dataset
from fsl_jax.tasks.multiple_choice import CONTEXT, QUESTION
from fsl_jax.tasks.registry import find_task

CHOICES = 4
"""The choices of each question."""

COLUMNS = "trec_columns"
"""`trec` with both of its labels."""

Examples = tuple[Example, ...]


def load_task(name: str, data_dir: str) -> Dataset:
    """Load a data set.

    Args:
      name: an embedded data set, a directory in `data_dir`, `COLUMNS`, or a key of `DERIVED`.
      data_dir: the directory of the data sets that are not embedded.

    Returns:
      The data set.
    """
    if name == COLUMNS:
        columns = {"label": ("label", "fine_label")}
        return load_dataset(str(Path(data_dir) / "trec"), "multicolumn", columns)
    if name not in DERIVED:
        return load_texts(name, data_dir)
    source, task, derive = DERIVED[name]
    of_source = load_texts(source, data_dir)
    parts = (of_source.train, of_source.validation, of_source.test)
    return make_dataset(name, *map(derive, parts), task=task)


def choices_from_questions(examples: Sequence[Example]) -> Examples:
    """Make multiple choice of questions on paragraphs.

    Args:
      examples: questions, of which those without an answer are left out.

    Returns:
      The questions with their answer among those to other questions on the paragraph, in random
      order, where there are enough.
    """
    answers: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        answers[example.group] += [text for text, _ in example.answer[:1]]
    generator, made = random.Random(0), []
    for example in examples:
        right = example.answer[0][0] if example.answer else ""
        others = [text for text in dict.fromkeys(answers[example.group]) if text != right]
        if not right or len(others) < CHOICES - 1:
            continue
        texts = generator.sample([right, *generator.sample(others, CHOICES - 1)], CHOICES)
        numbered = {f"choice {number}": text for number, text in enumerate(texts, 1)}
        parts = {part: example.parts[part] for part in (CONTEXT, QUESTION)} | numbered
        made.append(Example(parts, texts.index(right), example.group))
    return tuple(made)


def types_of_entities(examples: Sequence[Example]) -> Examples:
    """Ask which types of entities texts have, instead of which words they are."""
    task = find_task("tagging")
    return tuple(
        dataclasses.replace(example, answer=tuple(sorted(task.labels_in(example))))
        for example in examples
    )


def numbers_of_labels(examples: Sequence[Example]) -> Examples:
    """Write the labels `negative` and `positive` as the numbers 0 and 1."""
    return tuple(
        dataclasses.replace(example, answer=float(example.answer == "positive"))
        for example in examples
    )


class Derived(NamedTuple):
    """A data set that is made of another one.

    Attributes:
      source: the other one.
      task: the task of the new one.
      derive: a function of the examples of a part.
    """

    source: str
    task: str
    derive: Callable[[Sequence[Example]], Examples]


DERIVED: Mapping[str, Derived] = {
    "squad_choices": Derived("squad_sample", "multiple_choice", choices_from_questions),
    "wnut17_types": Derived("wnut17", "multilabel", types_of_entities),
    "sst2_numbers": Derived("sst2", "regression", numbers_of_labels),
}
"""The data sets that are made of others, by name."""

"""A task is added by one file and a line in the registry: here by a toy task."""

from typing import ClassVar

import pytest

from fsl_jax.data.draws.at_random import draw_at_random
from fsl_jax.errors import InputError
from fsl_jax.tasks import TASKS, few_shot_split, find_task, load_dataset
from fsl_jax.tasks.parts.row_reader import RowReader
from fsl_jax.tasks.task import Metric, Table, Task


class Reversal(Task):
    """Writes a text backwards; the answer is the text."""

    name = "reversal"
    description = "each text backwards"
    roles: ClassVar = {"forwards": ("forwards",), "backwards": ("backwards",)}
    texts = frozenset(("forwards",))
    metrics = (Metric("right", "Right"),)

    def recognises(self, rows, columns):
        return all(row["forwards"] == row["backwards"][::-1] for row in rows)

    def read(self, row, columns):
        reader = RowReader(row, columns)
        return reader.example(reader.texts("forwards"), reader.text("backwards"))

    def draw(self, dataset, shots, seed):
        return draw_at_random(dataset, shots, seed)

    def written(self, example):
        return example.answer

    def parse(self, text, example, labels=()):
        return text.strip() or None

    def score(self, answers, examples):
        right = [a == e.answer for a, e in zip(answers, examples, strict=True)]
        return {"right": sum(right) / len(right)}

    def details(self, answers, examples):
        return [Table("All", ("text", "answer"), tuple(zip(answers, examples, strict=True)))]

    def baselines(self, train, test):
        return {"forwards": self.score([e.parts["forwards"] for e in test], test)}


def test_a_toy_task_is_found_out_loaded_drawn_and_scored(write, monkeypatch):
    monkeypatch.setitem(TASKS, "reversal", Reversal())
    rows = [{"forwards": f"text {n}", "backwards": f"text {n}"[::-1]} for n in range(30)]
    dataset = load_dataset(str(write("all.jsonl", rows)))
    assert (dataset.task, dataset.labels) == ("reversal", ())
    split = few_shot_split(dataset, 3, 0)
    task = find_task("reversal")
    read = [task.parse(task.written(example), example) for example in split.train]
    assert task.score(read, split.train) == {"right": 1.0}
    assert task.baselines(split.train, dataset.test)["forwards"] == {"right": 0.0}


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_says_what_it_is(name):
    task = find_task(name)
    assert task.name == name
    assert set(task.optional) | task.texts <= set(task.roles)
    assert len({metric.name for metric in task.metrics}) == len(task.metrics) > 0


def test_an_unknown_task_is_refused():
    with pytest.raises(InputError, match="unknown task 'classify'"):
        find_task("classify")

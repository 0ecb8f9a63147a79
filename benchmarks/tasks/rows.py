"""A few rows of each task: the files in `samples/`, read as a user's are."""

import functools
from pathlib import Path

from fsl_jax.data.examples import Dataset
from fsl_jax.tasks.loading import load_dataset
from fsl_jax.tasks.registry import TASKS

SAMPLES = Path(__file__).parent / "samples"
COLUMNS = {"multicolumn": {"text": "text", "label": ("topic", "urgency")}}
"""The columns of tasks whose columns have no usual names."""


def sample_file(task: str) -> Path:
    """Return the file with the rows of a task."""
    return SAMPLES / f"{task}.jsonl"


@functools.cache
def sample(task: str) -> Dataset:
    """Load the rows of a task, which is found out from their columns."""
    return load_dataset(str(sample_file(task)), columns=COLUMNS.get(task))


def sample_texts() -> list[str]:
    """Return every text of the samples, and every answer as it is written."""
    pairs = [
        (task, example)
        for name, task in TASKS.items()
        for example in (*sample(name).train, *sample(name).test)
    ]
    return [text for task, example in pairs for text in (example.text, task.written(example))]

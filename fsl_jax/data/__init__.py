"""Examples: sources, removal of duplicates, the test set, draws and batches."""

import importlib
from typing import Any

from fsl_jax.data.embedded import EMBEDDED
from fsl_jax.data.examples import Dataset, Example, Split, text_example
from fsl_jax.data.sampling import batch_order
from fsl_jax.data.splits import test_subset

__all__ = [
    "EMBEDDED",
    "Dataset",
    "Example",
    "Split",
    "batch_order",
    "test_subset",
    "text_example",
]

_OF_TASKS = ("few_shot_split", "load_dataset", "make_dataset")


def __getattr__(name: str) -> Any:
    # Data sets were loaded from here before there were tasks, which are a layer above.
    if name in _OF_TASKS:
        return getattr(importlib.import_module("fsl_jax.tasks"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

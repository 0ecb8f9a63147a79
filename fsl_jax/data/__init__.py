"""Labelled texts: loading, removal of duplicates, splits and batches."""

from fsl_jax.data.embedded import EMBEDDED
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.data.sampling import batch_order
from fsl_jax.data.sources import load_dataset, make_dataset
from fsl_jax.data.splits import few_shot_split, test_subset

__all__ = [
    "EMBEDDED",
    "Dataset",
    "Example",
    "Split",
    "batch_order",
    "few_shot_split",
    "load_dataset",
    "make_dataset",
    "test_subset",
]

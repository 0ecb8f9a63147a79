"""Labelled texts: where they come from, how they are split, drawn and padded."""

from fsl_jax.data.buckets import bucket_length, bucket_lengths, pad_tokens
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
    "bucket_length",
    "bucket_lengths",
    "few_shot_split",
    "load_dataset",
    "make_dataset",
    "pad_tokens",
    "test_subset",
]

"""Examples: sources, removal of duplicates, the test set, draws and batches."""

from fsl_jax.data.earlier_names import names_of_tasks
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

__getattr__ = names_of_tasks(__name__, "few_shot_split", "load_dataset", "make_dataset")

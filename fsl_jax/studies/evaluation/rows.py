"""Read the examples on which an adapter is evaluated, and say which rows they are."""

from collections.abc import Sequence

from fsl_jax.data.duplicates import normalized
from fsl_jax.data.embedded import EMBEDDED
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.origins.registry import read_parts
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError
from fsl_jax.files import local_path
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.loading import load_dataset, read_examples
from fsl_jax.tasks.recognition import GivenColumns


def load_test_rows(
    name: str,
    columns: GivenColumns | None = None,
    options: ReadOptions | None = None,
) -> tuple[Dataset, str]:
    """Load the examples on which an adapter is evaluated.

    Args:
      name: a file, of which all rows are evaluated; or as in `fsl_jax.tasks.load_dataset`, for a
        directory or an embedded name, of which the test set is evaluated.
      columns: the columns of roles, `text` and `label`, in local files.
      options: how to read the files.

    Returns:
      A data set with these examples as its test set, and a sentence that says what was read. A file
      may lack some of the adapter's classes.

    Raises:
      InputError: there is no such data set, or it cannot be used; the message says why.
    """
    path = local_path(name)
    if name in EMBEDDED or not path.exists() or path.is_dir():
        dataset = load_dataset(name, Classification.name, columns, options=options)
        return dataset, _of_parts(dataset)
    parts = read_parts(name, options)
    _, read = read_examples(name, parts, Classification.name, columns)
    rows = read["train"].examples
    if not rows:
        raise InputError(f"{name}: there are no rows to evaluate.")
    labels = tuple(sorted({row.answer for row in rows}))
    return Dataset(name, (), (), rows, labels), _of_file(name, rows)


def _of_parts(dataset: Dataset) -> str:
    counts = f"Read the test set of {dataset.name}: {len(dataset.test)} rows"
    if removed := dataset.duplicates_removed:
        counts += f", after {removed} duplicates were removed from all its parts"
    return f"{counts}."


def _of_file(name: str, rows: Sequence[Example]) -> str:
    counts = f"Read all {len(rows)} rows of {name}"
    repeated = len(rows) - len({normalized(row.text) for row in rows})
    if repeated:
        counts += f"; {repeated} of them repeat the text of another row, and count too"
    return f"{counts}. Rows that the adapter was trained on would make the result too good."

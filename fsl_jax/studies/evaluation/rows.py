"""Read the examples on which an adapter is evaluated, and say which rows they are."""

from collections.abc import Sequence

from fsl_jax.data.duplicates import normalized
from fsl_jax.data.embedded import EMBEDDED
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.local_files import read_local
from fsl_jax.data.sources import load_dataset
from fsl_jax.errors import InputError
from fsl_jax.files import local_path


def load_test_rows(
    name: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    max_unfolded: int | None = None,
) -> tuple[Dataset, str]:
    """Load the examples on which an adapter is evaluated.

    Args:
      name: a file, of which all rows are evaluated; or as in `fsl_jax.data.load_dataset`, for a
        directory or an embedded name, of which the test set is evaluated.
      text_column: the column of the texts in local files.
      label_column: the column of the labels in local files.
      max_unfolded: as in `fsl_jax.data.load_dataset`.

    Returns:
      A data set with these examples as its test set, and a sentence that says what was read. A file
      may lack some of the adapter's classes.

    Raises:
      InputError: there is no such data set, or it cannot be used; the message says why.
    """
    path = local_path(name)
    if name in EMBEDDED or not path.exists() or path.is_dir():
        dataset = load_dataset(
            name, text_column=text_column, label_column=label_column, max_unfolded=max_unfolded
        )
        return dataset, _of_parts(dataset)
    rows = read_local(path, text_column, label_column, max_unfolded).train
    if not rows:
        raise InputError(f"{name}: there are no rows to evaluate.")
    labels = tuple(sorted({row.label for row in rows}))
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

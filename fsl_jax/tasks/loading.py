"""Load data sets by name or path, for any task, and make them from examples."""

from collections.abc import Callable, Mapping, Sequence

from absl import logging

from fsl_jax.data.embedded import EMBEDDED, load_embedded
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.origins.registry import read_parts
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.rows import Parts
from fsl_jax.errors import InputError, problems_error
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.given_columns import with_usual_roles
from fsl_jax.tasks.label_forms import hint, one_form
from fsl_jax.tasks.making import label_problems, make_dataset
from fsl_jax.tasks.reading import Place, Problems, ReadPart, file_problems, read_part
from fsl_jax.tasks.recognition import GivenColumns, Recognised, recognise
from fsl_jax.tasks.registry import AUTO
from fsl_jax.tasks.task import Task


def load_dataset(
    name: str,
    task: str = AUTO,
    columns: GivenColumns | None = None,
    *,
    text_column: str = "",
    label_column: str = "",
    skip_empty: bool = False,
    normalize_labels: bool = False,
    options: ReadOptions | None = None,
) -> Dataset:
    """Load a data set.

    Args:
      name: as in `fsl_jax.data.origins.registry.read_parts`: an embedded name, a local directory
        with `train.*`, `test.*` and optionally `validation.*`, a single file, of which a fixed
        fifth becomes the test set, `hf:NAME` or `tfds:NAME`.
      task: the name of the task; `auto` finds it out from the columns.
      columns: the columns of roles of the task, such as `{"text": "review", "label": "stars"}`;
        those of other roles are found by their usual names.
      text_column: the column of the role `text`, if it is not in `columns`.
      label_column: the column of the role `label`, if it is not in `columns`.
      skip_empty: True to pass over rows without text, which are an error otherwise.
      normalize_labels: True to make one label of those that differ only in case, white space or
        Unicode form.
      options: how to read the files.

    Returns:
      The data set, without duplicates. Its remarks say what was found out.

    Raises:
      InputError: there is no such data set, or it cannot be used; the message says why, with the
        files and lines of all problems.
    """
    columns = with_usual_roles(columns or {}, text_column, label_column)
    if name in EMBEDDED and task in (AUTO, Classification.name) and not columns:
        return load_embedded(name)
    parts = read_parts(name, options)
    return dataset_of_rows(
        name, parts, task, columns, skip_empty=skip_empty, normalize_labels=normalize_labels
    )


def dataset_of_rows(
    name: str,
    parts: Parts,
    task: str = AUTO,
    columns: GivenColumns | None = None,
    *,
    skip_empty: bool = False,
    normalize_labels: bool = False,
) -> Dataset:
    """Make a data set of rows.

    Args:
      name: its name.
      parts: the rows of train, and perhaps of validation and test.
      task: as in `load_dataset`.
      columns: as in `load_dataset`.
      skip_empty: as in `load_dataset`.
      normalize_labels: as in `load_dataset`.

    Returns:
      The data set.

    Raises:
      InputError: the rows cannot be used; the message lists all problems.
    """
    found, read = read_examples(name, parts, task, columns, skip_empty=skip_empty)
    remarks = [found.sentence, *_remarks(found, parts, read)]
    rename = _renaming(found.task, read, remarks) if normalize_labels else (lambda example: example)
    examples = {part: tuple(map(rename, of.examples)) for part, of in read.items()}
    places = {part: of.places for part, of in read.items()}
    _check_labels(name, found.task, examples, places, normalize_labels)
    for remark in remarks:
        logging.info("%s: %s", name, remark)
    return make_dataset(
        name,
        examples["train"],
        examples.get("validation", ()),
        examples.get("test"),
        task=found.task.name,
        columns=found.columns,
        remarks=remarks,
    )


def read_examples(
    name: str,
    parts: Parts,
    task: str = AUTO,
    columns: GivenColumns | None = None,
    *,
    skip_empty: bool = False,
) -> tuple[Recognised, dict[str, ReadPart]]:
    """Read the rows of each part as examples.

    Args:
      name: the name of the data set.
      parts: the rows of each part.
      task: as in `load_dataset`.
      columns: as in `load_dataset`.
      skip_empty: as in `load_dataset`.

    Returns:
      The task with its columns, and the examples of each part.

    Raises:
      InputError: the rows cannot be used; the message lists all problems.
    """
    problems = Problems(general=file_problems(parts))
    if problems.general and not any(file.rows for file in parts["train"]):
        raise _unusable(name, problems.listed())
    try:
        found = recognise(parts["train"], task, columns)
    except InputError as error:
        if not problems.general:
            raise
        raise _unusable(name, [*problems.listed(), str(error)]) from error
    rows = [row.values for file in parts["train"] for row in file.rows]
    read = found.task.reader(rows, found.columns)
    done = {
        part: read_part(found.task, found.columns, files, read, problems, skip_empty=skip_empty)
        for part, files in parts.items()
    }
    if listed := problems.listed():
        raise _unusable(name, listed)
    if not done["train"].examples:
        raise InputError(f"{name}: all rows of train are without text, and were skipped.")
    return found, done


def _unusable(name: str, problems: Sequence[str]) -> InputError:
    return problems_error(f"{name} cannot be used as it is. Correct these and try again:", problems)


def _remarks(found: Recognised, parts: Parts, read: Mapping[str, ReadPart]) -> list[str]:
    """Return what sources and the task say about how rows were read, and what was skipped."""
    remarks = []
    for part, files in parts.items():
        remarks += [f"{file.source}: {remark}" for file in files for remark in file.remarks]
        rows = [row.values for file in files for row in file.rows]
        remarks += [f"{part}: {remark}" for remark in found.task.remarks(rows, found.columns)]
        if read[part].skipped:
            remarks.append(f"{part}: {read[part].skipped} rows without text were skipped")
    return remarks


def _renaming(
    task: Task, read: Mapping[str, ReadPart], remarks: list[str]
) -> Callable[[Example], Example]:
    """Return the function that gives labels one form, and say which ones change."""
    forms = one_form(task, {part: of.examples for part, of in read.items()})
    if not forms:
        return lambda example: example
    listed = ", ".join(f"{old!r} to {new!r}" for old, new in forms.items())
    remarks.append(f"labels were changed: {listed}")
    return lambda example: task.renamed(example, forms)


def _check_labels(
    name: str,
    task: Task,
    examples: Mapping[str, Sequence[Example]],
    places: Mapping[str, Sequence[Place]],
    normalize_labels: bool,
) -> None:
    """Raise an error for labels that train lacks; warn of labels that look the same."""
    labels = {label for of in examples.values() for each in of for label in task.labels_in(each)}
    says = "" if normalize_labels else hint(labels)
    problems = label_problems(task, examples, places)
    if problems:
        raise _unusable(name, [*problems, says] if says else problems)
    if says:
        logging.warning("%s: %s", name, says)

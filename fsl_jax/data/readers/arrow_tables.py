"""Read Parquet and Arrow files, with the names that `datasets` gives to classes.

A few hundred bytes of such a file may unfold to gigabytes. Therefore values are counted while they
are still folded, and a file that unfolds to more than `UNFOLDED` times its size is refused.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsl_jax.data.readers.arrow_messages import largest_message
from fsl_jax.data.readers.arrow_values import Budget, is_readable, is_text, largest_width, values_of
from fsl_jax.data.readers.class_names import Names, holds_no_text, names_in, with_names
from fsl_jax.data.readers.contents import most_bytes, too_large
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.rows import Row, Rows
from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json
from fsl_jax.limits import memory_limited

if TYPE_CHECKING:
    import pyarrow

_FILE_MARK = b"ARROW1\0\0"

_BATCH = 65_536
"""The largest number of rows that are read at a time from a Parquet file."""

_BESIDE = 128 << 20
"""The memory that reading a batch may take beside its values, in bytes."""


def read_parquet(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read a Parquet file.

    Args:
      path: the file.
      options: the largest size of the values.

    Returns:
      The rows. If the file is damaged or is not a Parquet file, `malformed` says so. Columns of
      pictures and the like, or of bytes that are no text, are left out with a remark; so is,
      without one, a column that is there twice.

    Raises:
      InputError: the file unfolds to more than the largest size.
    """
    return _read(path, options or ReadOptions(), "Parquet", _parquet_batches)


def read_arrow(path: Path, options: ReadOptions | None = None) -> Rows:
    """Read an Arrow file, as `read_parquet` does."""
    return _read(path, options or ReadOptions(), "Arrow", _arrow_batches)


def _read(path: Path, options: ReadOptions, form: str, open_batches: Any) -> Rows:
    import pyarrow  # The import takes a tenth of a second, and other formats do not need it.

    rows = Rows(path.name, unit="row")
    try:
        budget = Budget(path, most_bytes(path, options.max_unfolded))
        with open_batches(path, budget) as opened:
            _add_batches(rows, opened, budget)
    except MemoryError as error:
        raise too_large(path, budget.max_bytes) from error
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        rows.rows, rows.remarks = [], []
        rows.malformed.append(f"not a {form} file, or a damaged one ({str(error)[:200]})")
    return rows


@dataclasses.dataclass(frozen=True, eq=False)
class _Opened:
    """An open file.

    Attributes:
      schema: its schema.
      features: the features of `datasets` by column, as JSON.
      columns: the columns that can be read.
      batches: its rows, with these columns.
    """

    schema: "pyarrow.Schema"
    features: Mapping[str, Any]
    columns: tuple[str, ...]
    batches: Iterable["pyarrow.RecordBatch"]


@contextlib.contextmanager
def _parquet_batches(path: Path, budget: Budget) -> Iterator[_Opened]:
    from pyarrow.parquet import ParquetFile, read_schema

    # Not those in lists and fields, which cannot be read in this way from more than one page.
    folded = [field.name for field in read_schema(path) if is_text(field.type)]
    with ParquetFile(path, read_dictionary=folded, pre_buffer=False) as file:
        schema, metadata = file.schema_arrow, file.metadata
        features = _features(schema, path)
        columns = _readable(schema, features)
        width = max((largest_width(schema.field(name).type) for name in columns), default=0)
        budget.require(width)
        # The sizes of single columns are not asked for: in a damaged file, that ends the process.
        if len(columns) == len(schema.names):
            groups = map(metadata.row_group, range(metadata.num_row_groups))
            budget.require(max((group.total_byte_size for group in groups), default=0))
        rows = min(_BATCH, budget.max_bytes // max(width, 1))
        batches = file.iter_batches(rows, columns=list(columns), use_threads=False)
        yield _Opened(schema, features, columns, _bounded(batches, budget.max_bytes))


@contextlib.contextmanager
def _arrow_batches(path: Path, budget: Budget) -> Iterator[_Opened]:
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        # A file is a stream between two marks. It is read as one, since the list of messages behind
        # the second mark could name others than those that were measured.
        start = len(_FILE_MARK) if source.read(len(_FILE_MARK)) == _FILE_MARK else 0
        source.seek(start)
        budget.require(largest_message(source))
        source.seek(start)
        file = pyarrow.ipc.open_stream(source)
        features = _features(file.schema, path)
        columns = _readable(file.schema, features)
        batches = (batch.select(list(columns)) for batch in file)
        yield _Opened(file.schema, features, columns, batches)


def _bounded(
    batches: Iterable["pyarrow.RecordBatch"], max_bytes: int
) -> Iterator["pyarrow.RecordBatch"]:
    """Yield batches; what lists of equal values unfold to is not known before they do."""
    iterator = iter(batches)
    while True:
        with memory_limited(2 * max_bytes + _BESIDE):
            batch = next(iterator, None)
        if batch is None:
            return
        yield batch


def _features(schema: "pyarrow.Schema", path: Path) -> Mapping[str, Any]:
    """Return the features that `datasets` writes into the schema, by column."""
    text = (schema.metadata or {}).get(b"huggingface")
    features: Any = parse_json(text, f"{path}: the features of `datasets`") if text else {}
    for name in ("info", "features"):
        features = features.get(name) if isinstance(features, Mapping) else None
    return features if isinstance(features, Mapping) else {}


def _readable(schema: "pyarrow.Schema", features: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in schema
        if schema.names.count(field.name) == 1
        and is_readable(field.type)
        and not holds_no_text(features.get(field.name))
    )


def _add_batches(rows: Rows, opened: _Opened, budget: Budget) -> None:
    names = {
        column: names_in(opened.features.get(column), budget.path, column)
        for column in opened.columns
    }
    unread = {
        name: f"its type is {opened.schema.field(name).type}"
        for name in opened.schema.names
        if name not in opened.columns and opened.schema.names.count(name) == 1
    }
    count = 0
    for batch in opened.batches:
        batch.validate(full=True)
        columns = _batch_values(batch, budget, unread)
        for index in range(batch.num_rows):
            values = {name: column[index] for name, column in columns.items()}
            _add_row(rows, count + index + 1, values, names)
        count += batch.num_rows
    rows.columns = tuple(name for name in opened.schema.names if name not in unread)
    rows.rows = [
        Row(row.number, {name: row.values[name] for name in row.values if name not in unread})
        for row in rows.rows
    ]
    rows.remarks += [
        f"Column {name!r} of {rows.source} is not read: {reason[:200]}."
        for name, reason in unread.items()
    ]


def _batch_values(
    batch: "pyarrow.RecordBatch", budget: Budget, unread: dict[str, str]
) -> dict[str, list[Any]]:
    """Return the values of the columns that can be read; name the others in `unread`."""
    columns = {}
    for name in batch.schema.names:
        if name in unread:
            continue
        try:
            columns[name] = values_of(batch.column(name), budget)
        except UnicodeDecodeError:
            unread[name] = "it has bytes that are no text in UTF-8"
    return columns


def _add_row(
    rows: Rows, number: int, values: Mapping[str, Any], names: Mapping[str, Names]
) -> None:
    try:
        named = {name: with_names(value, names[name]) for name, value in values.items()}
        rows.rows.append(Row(number, named))
    except ValueError as error:
        rows.malformed.append(f"row {number}: {error}")

"""Read Parquet and Arrow files, with the names that `datasets` gives to classes.

A few hundred bytes of such a file may unfold to gigabytes. Therefore values are counted while they
are still folded, and a file that unfolds to more than `UNFOLDED` times its size is refused.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fsl_jax.data.arrow_messages import largest_message
from fsl_jax.data.table import Row, Table
from fsl_jax.errors import InputError
from fsl_jax.json_reader import parse_json

if TYPE_CHECKING:
    import pyarrow

UNFOLDED = 20
"""The largest size of the values, as a multiple of the file's size; real texts stay below 10."""

ALWAYS_READ = 128 << 20
"""The size of the values that is read from a file however small, in bytes."""

_OBJECT = 128
"""The least memory that a value takes in Python, in bytes."""

_FILE_MARK = b"ARROW1\0\0"

_BATCH = 65_536
"""The largest number of rows that are read at a time from a Parquet file."""


def read_parquet(path: Path, wanted: tuple[str, ...], max_bytes: int | None = None) -> Table:
    """Read the wanted columns of a Parquet file.

    Args:
      path: the file.
      wanted: the columns to keep.
      max_bytes: the largest size of the values; by default it follows from the file's size.

    Returns:
      The table; if the file is damaged or is not a Parquet file, `malformed` says so.

    Raises:
      InputError: the file unfolds to more than that.
    """
    return _read(path, wanted, max_bytes, "Parquet", _open_parquet)


def read_arrow(path: Path, wanted: tuple[str, ...], max_bytes: int | None = None) -> Table:
    """Read the wanted columns of an Arrow file, as `read_parquet` does."""
    return _read(path, wanted, max_bytes, "Arrow", _open_arrow)


class _NestedColumnError(Exception):
    """Raised for a column whose values are lists, or have fields."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Opened:
    """The schema of a file, and its batches of rows with the wanted columns."""

    schema: "pyarrow.Schema"
    batches: Iterable["pyarrow.RecordBatch"]


def _read(
    path: Path, wanted: tuple[str, ...], max_bytes: int | None, form: str, open_file: Any
) -> Table:
    import pyarrow  # The import takes a tenth of a second, and other formats do not need it.

    table = Table(path, unit="row")
    try:
        budget = _Budget(path, max_bytes or max(ALWAYS_READ, UNFOLDED * path.stat().st_size))
        with open_file(path, wanted, budget) as opened:
            table.columns = tuple(opened.schema.names)
            if table.has(wanted):
                _require_single_values(opened.schema, wanted)
                names = [_class_names(opened.schema, column, path) for column in wanted]
                table.rows = _rows(opened.batches, wanted, names, budget, table.malformed)
    except _NestedColumnError as error:
        table.malformed.append(str(error))
    except (pyarrow.ArrowException, OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        table.rows = []
        table.malformed.append(f"not a {form} file, or a damaged one ({str(error)[:200]})")
    return table


@contextlib.contextmanager
def _open_parquet(path: Path, wanted: tuple[str, ...], budget: "_Budget") -> Iterator[_Opened]:
    from pyarrow.parquet import ParquetFile, read_schema

    texts = [field.name for field in read_schema(path) if _is_text(field.type)]
    folded = [column for column in wanted if column in texts]
    with ParquetFile(path, read_dictionary=folded) as file:
        schema, metadata = file.schema_arrow, file.metadata
        width = max((_width(field.type) for field in schema if field.name in wanted), default=0)
        budget.require(width)
        # The sizes of single columns are not asked for: in a damaged file, that ends the process.
        if set(schema.names) <= set(wanted):
            groups = map(metadata.row_group, range(metadata.num_row_groups))
            budget.require(max((group.total_byte_size for group in groups), default=0))
        rows = min(_BATCH, budget.max_bytes // max(width, 1))
        yield _Opened(schema, file.iter_batches(rows, columns=list(wanted)))


@contextlib.contextmanager
def _open_arrow(path: Path, wanted: tuple[str, ...], budget: "_Budget") -> Iterator[_Opened]:
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        # A file is a stream between two marks. It is read as one, since the list of messages behind
        # the second mark could name others than those that were measured.
        start = len(_FILE_MARK) if source.read(len(_FILE_MARK)) == _FILE_MARK else 0
        source.seek(start)
        budget.require(largest_message(source))
        source.seek(start)
        file = pyarrow.ipc.open_stream(source)
        yield _Opened(file.schema, (batch.select(list(wanted)) for batch in file))


@dataclasses.dataclass
class _Budget:
    """The size of the values of a file that may still be read."""

    path: Path
    max_bytes: int
    used: int = 0

    def spend(self, size: int) -> None:
        """Count values of a size in bytes."""
        self.used += size
        self.require(self.used)

    def require(self, size: int) -> None:
        """Raise an error for a size above the largest."""
        if size > self.max_bytes:
            raise InputError(
                f"{self.path} has {self.path.stat().st_size:,} bytes and unfolds to more than "
                f"{self.max_bytes:,}. If you trust it, allow more: --max_unfolded_gib, or "
                "max_unfolded in Python."
            )


def _rows(
    batches: Iterable["pyarrow.RecordBatch"],
    wanted: tuple[str, ...],
    names: list[tuple[str, ...] | None],
    budget: _Budget,
    malformed: list[str],
) -> list[Row]:
    rows: list[Row] = []
    for batch in batches:
        batch.validate(full=True)
        columns = [_values(batch.column(name), budget) for name in wanted]
        for values in zip(*columns, strict=True):
            number = len(rows) + len(malformed) + 1
            try:
                named = map(_with_class_name, values, names)
                rows.append(Row(number, tuple(named)))
            except ValueError as error:
                malformed.append(f"row {number}: {error}")
    return rows


def _values(array: "pyarrow.Array", budget: _Budget) -> list[Any]:
    """Return the values of an array; equal ones are one object if they are folded."""
    import pyarrow

    if pyarrow.types.is_dictionary(array.type):
        words = array.dictionary
        if _is_text(words.type):
            indices = array.indices.drop_null().to_numpy(zero_copy_only=False)
            budget.spend(int(_lengths(words)[indices].sum()))
        budget.spend(_OBJECT * len(array))
        texts = [_text(value) for value in words.to_pylist()]
        return [None if index is None else texts[index] for index in array.indices.to_pylist()]
    views = int(_lengths(array).sum()) if _is_view(array.type) else 0
    budget.spend(array.nbytes + views + _OBJECT * len(array))
    return [_text(value) for value in array.to_pylist()]


def _is_text(type_: "pyarrow.DataType") -> bool:
    import pyarrow

    types = pyarrow.types
    return any(
        check(type_)
        for check in (
            types.is_string,
            types.is_large_string,
            types.is_binary,
            types.is_large_binary,
            _is_view,
        )
    )


def _is_view(type_: "pyarrow.DataType") -> bool:
    """Return True for texts of which several may be the same bytes of the file."""
    import pyarrow

    return pyarrow.types.is_string_view(type_) or pyarrow.types.is_binary_view(type_)


def _lengths(texts: "pyarrow.Array") -> np.ndarray:
    """Return the number of bytes of each text, int64; any number where there is no text."""
    import pyarrow.compute

    if _is_view(texts.type):
        # A view takes 16 bytes and begins with its length.
        lengths = np.frombuffer(texts.buffers()[1], np.int32)[::4]
        return lengths[texts.offset : texts.offset + len(texts)].astype(np.int64)
    return pyarrow.compute.binary_length(texts).fill_null(0).to_numpy().astype(np.int64)


def _width(type_: "pyarrow.DataType") -> int:
    """Return the number of bytes of each value where all have the same number, else 0."""
    import pyarrow

    return type_.byte_width if pyarrow.types.is_fixed_size_binary(type_) else 0


def _require_single_values(schema: "pyarrow.Schema", wanted: tuple[str, ...]) -> None:
    """Raise an error for columns of lists and the like, which no limit holds while they unfold."""
    import pyarrow

    for column in wanted:
        type_ = schema.field(column).type
        if pyarrow.types.is_dictionary(type_):
            type_ = type_.value_type
        if pyarrow.types.is_nested(type_):
            raise _NestedColumnError(
                f"column {column!r} has values of type {type_}: expected text, whole numbers or "
                "booleans"
            )


def _text(value: Any) -> Any:
    """Return bytes as text, since some writers do not mark texts as such."""
    return value.decode() if isinstance(value, bytes) else value


def _class_names(schema: "pyarrow.Schema", column: str, path: Path) -> tuple[str, ...] | None:
    """Return the names of a column's classes, which `datasets` writes into the schema."""
    text = (schema.metadata or {}).get(b"huggingface")
    features: Any = parse_json(text, f"{path}: the features of `datasets`") if text else {}
    for name in ("info", "features", column):
        features = features.get(name) if isinstance(features, Mapping) else None
    if not isinstance(features, Mapping) or features.get("_type") != "ClassLabel":
        return None
    names = features.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path}: the classes of column {column!r} have no list of names")
    if len({name.strip() for name in names}) < len(names):
        raise InputError(f"{path}: two classes of column {column!r} have the same name")
    return tuple(names)


def _with_class_name(value: Any, names: tuple[str, ...] | None) -> Any:
    """Return the name of a class; -1 is how `datasets` writes a missing label."""
    if names is None or value is None or value == -1:
        return value if names is None else None
    if not isinstance(value, int) or not 0 <= value < len(names):
        raise ValueError(f"class {value!r}, and the schema names classes 0 to {len(names) - 1}")
    return names[value]

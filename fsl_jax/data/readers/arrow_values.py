"""Turn Arrow arrays into Python values, and count their size before they are unfolded."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fsl_jax.data.readers.contents import too_large
from fsl_jax.data.readers.plain_values import plain_value

if TYPE_CHECKING:
    import pyarrow

_OBJECT = 128
"""The least memory that a value of a row takes in Python, in bytes."""

_NUMBER, _SHARED = 40, 16
"""The memory of a value in a list: a number, or an object that is shared with equal values."""

_SMALL = (-5, 256)
"""The whole numbers of which Python has one object each."""


@dataclasses.dataclass
class Budget:
    """The size of the values of a file that may still be read.

    Attributes:
      path: the file.
      max_bytes: the largest size of its values, in bytes.
      used: the size of the values so far.
    """

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
            raise too_large(self.path, self.max_bytes)


def is_readable(type_: "pyarrow.DataType") -> bool:
    """Return True for types whose values have a size that is known before they are unfolded.

    Not so for views of lists, of which many may be the same values, and for runs of equal values.
    """
    import pyarrow

    types = pyarrow.types
    if types.is_struct(type_):
        return type_.num_fields > 0 and all(is_readable(field.type) for field in type_)
    if _is_list(type_) or types.is_dictionary(type_):
        return is_readable(type_.value_type)
    single = (types.is_null, types.is_boolean, types.is_integer, types.is_floating)
    others = (types.is_decimal, types.is_temporal, types.is_fixed_size_binary, is_text)
    return any(check(type_) for check in (*single, *others))


def is_text(type_: "pyarrow.DataType") -> bool:
    """Return True for texts, and for bytes of any length, which some writers use for texts."""
    import pyarrow

    types = pyarrow.types
    checks = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(check(type_) for check in (*checks, _is_view))


def largest_width(type_: "pyarrow.DataType") -> int:
    """Return the number of bytes of each value where all have the same number, else 0."""
    import pyarrow

    if pyarrow.types.is_fixed_size_binary(type_):
        return int(type_.byte_width)
    if pyarrow.types.is_fixed_size_list(type_):
        return int(type_.list_size * max(largest_width(type_.value_type), 8))
    if pyarrow.types.is_dictionary(type_):
        return largest_width(type_.value_type)
    inner = [type_.field(index).type for index in range(type_.num_fields)]
    return max(map(largest_width, inner), default=0)


def values_of(array: "pyarrow.Array", budget: Budget) -> list[Any]:
    """Return the values of an array; equal texts are one object if they are folded.

    Args:
      array: an array of a type that `is_readable`.
      budget: their size is spent from it before they are unfolded.

    Returns:
      The values, as `plain_value` gives them.

    Raises:
      InputError: they are larger than the budget.
      UnicodeDecodeError: bytes are no text.
    """
    budget.spend(_OBJECT * len(array))
    return _values(array, budget)


def _values(array: "pyarrow.Array", budget: Budget) -> list[Any]:
    import pyarrow

    if pyarrow.types.is_dictionary(array.type):
        return _folded_values(array, budget)
    if pyarrow.types.is_struct(array.type):
        return _struct_values(array, budget)
    if _is_list(array.type):
        return _list_values(array, budget)
    budget.spend(_size(array))
    values = array.to_pylist()
    types = pyarrow.types
    if types.is_integer(array.type) or types.is_boolean(array.type):
        return values
    return [plain_value(value) for value in values]


def _folded_values(array: "pyarrow.DictionaryArray", budget: Budget) -> list[Any]:
    words = array.dictionary
    if is_text(words.type):
        indices = array.indices.drop_null().to_numpy(zero_copy_only=False)
        budget.spend(int(_lengths(words)[indices].sum()))
        texts = [plain_value(value) for value in words.to_pylist()]
    else:
        texts = values_of(words, budget)
    return [None if index is None else texts[index] for index in array.indices.to_pylist()]


def _struct_values(array: "pyarrow.StructArray", budget: Budget) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [values_of(array.field(index), budget) for index in range(len(names))]
    present = array.is_valid().to_pylist()
    return [
        dict(zip(names, values, strict=True)) if here else None
        for here, values in zip(present, zip(*columns, strict=True), strict=True)
    ]


def _list_values(array: "pyarrow.Array", budget: Budget) -> list[Any]:
    import pyarrow

    if pyarrow.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        ends = [(array.offset + index) * size for index in range(len(array) + 1)]
    else:
        ends = array.offsets.to_pylist()
    first = ends[0] if ends else 0
    inner = _elements(array.values.slice(first, (ends[-1] if ends else 0) - first), budget)
    present = array.is_valid().to_pylist()
    return [
        inner[ends[index] - first : ends[index + 1] - first] if here else None
        for index, here in enumerate(present)
    ]


def _elements(array: "pyarrow.Array", budget: Budget) -> list[Any]:
    """Return the values of an array that lists share, with one object for equal texts."""
    import pyarrow

    if is_text(array.type):
        budget.spend(_SHARED * len(array) + _size(array))
        return _folded_values(array.cast(_plain_type(array.type)).dictionary_encode(), budget)
    if pyarrow.types.is_integer(array.type) or pyarrow.types.is_floating(array.type):
        budget.spend((_SHARED if _is_small(array) else _NUMBER) * len(array))
        return _values(array, budget)
    return values_of(array, budget)


def _size(array: "pyarrow.Array") -> int:
    """Return the number of bytes of the values of an array, repeated ones each time."""
    views = int(_lengths(array).sum()) if _is_view(array.type) else 0
    return int(array.nbytes) + views


def _plain_type(type_: "pyarrow.DataType") -> "pyarrow.DataType":
    """Return the type in which texts can be folded."""
    import pyarrow

    if not _is_view(type_):
        return type_
    return pyarrow.large_string() if type_ == pyarrow.string_view() else pyarrow.large_binary()


def _is_small(array: "pyarrow.Array") -> bool:
    """Return True for whole numbers of which Python has one object each."""
    import pyarrow.compute

    if not pyarrow.types.is_integer(array.type):
        return False
    bounds = pyarrow.compute.min_max(array).as_py()
    low, high = bounds["min"], bounds["max"]
    return low is None or (_SMALL[0] <= low and high <= _SMALL[1])


def _is_list(type_: "pyarrow.DataType") -> bool:
    import pyarrow

    types = pyarrow.types
    checks = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(check(type_) for check in checks)


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

"""Read the parts of a TensorFlow data set, `tfds:NAME[/CONFIG][:VERSION]`, without TensorFlow.

The library `tensorflow_datasets` reads data sets without TensorFlow where their files are in the
formats `array_record` or `parquet`. Only builders that come with the library are run.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsl_jax.data.origins.limits import first_rows
from fsl_jax.data.origins.part_names import chosen_parts
from fsl_jax.data.readers.class_names import Names, with_names
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.plain_values import plain_value
from fsl_jax.data.rows import Parts, Row, Rows
from fsl_jax.errors import InputError, brief
from fsl_jax.files import local_path
from fsl_jax.json_reader import read_json

SCHEME = "tfds"

_NAME = re.compile(r"[a-z][a-z0-9_]*(/[\w.-]+)?(:[\d.*]+)?")
_FORMAT = "array_record"
_AT_ONCE = 1000
_LIBRARY = "tensorflow_datasets."
_UNREADABLE = ("Image", "Video", "Audio")


def tensorflow_parts(name: str, options: ReadOptions) -> Parts:
    """Read the parts of a TensorFlow data set.

    Args:
      name: `NAME[/CONFIG][:VERSION]`, of a data set that is prepared on this machine or that the
        library can prepare without TensorFlow; or the folder of a prepared data set.
      options: the largest number of rows.

    Returns:
      The rows of the parts, with the version as their `revision`.

    Raises:
      InputError: there is no such data set, or it cannot be read.
    """
    source = f"{SCHEME}:{name}"
    folder = local_path(name)
    is_folder = (folder / "features.json").is_file()
    if not is_folder and not _NAME.fullmatch(name):
        raise InputError(
            f"{source}: expected {SCHEME}:NAME[/CONFIG][:VERSION], or the folder of a prepared "
            "data set, with its features.json"
        )
    try:
        builder = _from_folder(folder) if is_folder else _from_library(name)
        chosen, others = chosen_parts(builder.info.splits, source)
        parts = {
            part: (_read(builder, split, f"{source} ({split})", options),)
            for part, split in chosen.items()
        }
    except InputError:
        raise
    # Builders are code of many authors.
    except Exception as error:
        raise InputError(
            f"{source} cannot be read without TensorFlow: {str(error)[:1000]}\nWhere TensorFlow is "
            f"installed, `tfds build NAME --file_format={_FORMAT}` prepares it."
        ) from error
    (train,) = parts["train"]
    train.remarks.append(f"{source} was read at version {train.revision}.")
    if others:
        train.remarks.append(f"These parts of {source} are not read: {', '.join(others)}.")
    return parts


def _from_folder(folder: Path) -> Any:
    import tensorflow_datasets

    for found in _class_names(read_json(folder / "features.json")):
        if not isinstance(found, str) or not found.startswith(_LIBRARY):
            raise InputError(
                f"{folder / 'features.json'}: the class {brief(found)} is not one of the "
                "library's, and is not imported"
            )
    return tensorflow_datasets.builder_from_directory(folder)


def _class_names(value: Any) -> Iterator[Any]:
    """Yield the Python classes that the features of a data set name."""
    for name, each in value.items() if isinstance(value, dict) else ():
        if name == "pythonClassName":
            yield each
        yield from _class_names(each)


def _from_library(name: str) -> Any:
    import tensorflow_datasets

    builder = tensorflow_datasets.builder(name, try_gcs=False, file_format=_FORMAT)
    builder.download_and_prepare()
    return builder


def _read(builder: Any, split: str, source: str, options: ReadOptions) -> Rows:
    import tensorflow_datasets

    features = builder.info.features
    unread = [name for name in features if type(features[name]).__name__ in _UNREADABLE]
    decoders = {name: tensorflow_datasets.decode.SkipDecoding() for name in unread}
    data = builder.as_data_source(split=split, decoders=decoders or None)
    columns = tuple(name for name in features if name not in unread)
    rows = Rows(source, unit="row", columns=columns, revision=str(builder.info.version))
    if unread:
        rows.remarks.append(f"These columns of {source} are not read: {', '.join(unread)}.")
    names = {name: _names(features[name]) for name in columns}
    for number, item in enumerate(first_rows(_items(data), options, rows), start=1):
        try:
            values = {name: with_names(plain_value(item[name]), names[name]) for name in columns}
            rows.rows.append(Row(number, values))
        except UnicodeDecodeError:
            rows.malformed.append(f"row {number}: it has bytes that are no text in UTF-8")
    return rows


def _items(data: Any) -> Iterator[Any]:
    for start in range(0, len(data), _AT_ONCE):
        yield from data.__getitems__(range(start, min(start + _AT_ONCE, len(data))))


def _names(feature: Any) -> Names:
    """Return the names of classes in a feature."""
    from tensorflow_datasets import features

    if isinstance(feature, features.ClassLabel):
        return tuple(feature.names)
    if isinstance(feature, features.FeaturesDict):
        fields = {name: _names(feature[name]) for name in feature}
        return fields if any(fields.values()) else None
    if isinstance(feature, features.Sequence):
        inner = _names(feature.feature)
        return None if inner is None else [inner]
    return None

"""Read the parts of a data set of the Hugging Face hub, `hf:NAME[:CONFIG][@REVISION]`.

The library `datasets` reads it, and runs no code of a repository. Repositories are downloaded once
into the cache of the hub; those above `LARGEST_DOWNLOAD` are streamed instead.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fsl_jax.data.origins.limits import LARGEST_DOWNLOAD, first_rows
from fsl_jax.data.origins.part_names import chosen_parts
from fsl_jax.data.readers.class_names import Names, holds_no_text, names_in, with_names
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.data.readers.plain_values import plain_value
from fsl_jax.data.rows import Parts, Row, Rows
from fsl_jax.errors import InputError
from fsl_jax.files import local_path

SCHEME = "hf"

_NAME = re.compile(r"(?P<repository>[^:@]+)(:(?P<config>[^:@]+))?(@(?P<revision>[^@]+))?")


def hub_parts(name: str, options: ReadOptions) -> Parts:
    """Read the parts of a data set of the hub.

    Args:
      name: `NAME[:CONFIG][@REVISION]`; the name may also be a local folder of the same layout.
      options: the largest number of rows.

    Returns:
      The rows of the parts, with the commit as their `revision`.

    Raises:
      InputError: there is no such data set, config or revision; or it cannot be read.
    """
    source = f"{SCHEME}:{name}"
    repository = _repository(name, source)
    try:
        streams, chosen, others = _open(repository, source)
        parts = {
            part: (_read(streams[split], f"{source} ({split})", options),)
            for part, split in chosen.items()
        }
    except InputError:
        raise
    # Reading files of many formats may fail in as many ways.
    except Exception as error:
        raise InputError(f"{source} cannot be read: {str(error)[:1000]}") from error
    for (rows,) in parts.values():
        rows.revision = repository.revision
    (train,) = parts["train"]
    if repository.revision:
        train.remarks.append(f"{source} was read at revision {repository.revision}.")
    if others:
        train.remarks.append(f"These parts of {source} are not read: {', '.join(others)}.")
    return parts


@dataclasses.dataclass(frozen=True)
class _Repository:
    """The place of a data set: `path` is a folder, or a name on the hub that is streamed."""

    path: str
    config: str | None
    revision: str


def _repository(name: str, source: str) -> _Repository:
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{source}: expected {SCHEME}:NAME[:CONFIG][@REVISION]")
    repository, config, revision = match["repository"], match["config"], match["revision"]
    folder = local_path(repository)
    if not folder.is_dir():
        return _on_hub(repository, config, revision, source)
    if revision:
        raise InputError(f"{source}: a local folder has no revisions; leave out @{revision}")
    return _Repository(str(folder), config, "")


def _on_hub(repository: str, config: str | None, revision: str | None, source: str) -> _Repository:
    """Find the commit of a repository, and download it unless it is too large."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        info = huggingface_hub.HfApi().dataset_info(
            repository, revision=revision, files_metadata=True
        )
    except errors.HFValidationError as error:
        raise InputError(f"{source}: {error}") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{source}: the hub has no revision {revision!r} of it") from error
    except errors.GatedRepoError as error:
        raise InputError(
            f"{source}: you have to accept its conditions on the hub, and run `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{source}: the hub has no data set {repository!r}, or it is private (run `hf auth "
            "login`); nor is there such a folder"
        ) from error
    # Without a connection, of which each library says so in its own way, what was downloaded before
    # is read.
    except Exception as error:
        return _downloaded(repository, config, revision, source, error)
    if sum(file.size or 0 for file in info.siblings or ()) > LARGEST_DOWNLOAD:
        return _Repository(repository, config, info.sha)
    folder = huggingface_hub.snapshot_download(repository, repo_type="dataset", revision=info.sha)
    return _Repository(folder, config, info.sha)


def _downloaded(
    repository: str, config: str | None, revision: str | None, source: str, reason: Exception
) -> _Repository:
    import huggingface_hub
    from huggingface_hub import errors

    try:
        folder = huggingface_hub.snapshot_download(
            repository, repo_type="dataset", revision=revision, local_files_only=True
        )
    except errors.LocalEntryNotFoundError as error:
        raise InputError(
            f"{source}: the hub cannot be reached ({str(reason)[:300]}), and it was not downloaded "
            "before"
        ) from error
    # The folder of a snapshot has the name of its commit.
    return _Repository(folder, config, local_path(folder).name)


def _open(
    repository: _Repository, source: str
) -> tuple[Mapping[str, Any], dict[str, str], tuple[str, ...]]:
    """Return the streams of all splits, the splits of the parts, and other splits."""
    import datasets

    is_folder = local_path(repository.path).is_dir()
    place = {"path": repository.path, "revision": None if is_folder else repository.revision}
    configs = datasets.get_dataset_config_names(**place)
    config = repository.config
    if config is None and len(configs) > 1:
        config = datasets.get_dataset_default_config_name(**place)
    if config not in configs and (config or len(configs) > 1):
        found = f"no config {config!r}" if config else "several configs"
        raise InputError(
            f"{source} has {found}: write {SCHEME}:NAME:CONFIG with one of {', '.join(configs)}"
        )
    builder = datasets.load_dataset_builder(**place, name=config)
    streams = builder.as_streaming_dataset()
    chosen, others = chosen_parts(streams, source)
    return streams, chosen, others


def _read(stream: Any, source: str, options: ReadOptions) -> Rows:
    rows = Rows(source, unit="row")
    features = stream.features.to_dict() if stream.features else {}
    unread = [name for name, feature in features.items() if holds_no_text(feature)]
    if unread:
        stream = stream.decode(False).remove_columns(unread)
        rows.remarks.append(f"These columns of {source} are not read: {', '.join(unread)}.")
    names = {column: names_in(feature, source, column) for column, feature in features.items()}
    columns = dict.fromkeys(name for name in features if name not in unread)
    for number, values in enumerate(first_rows(stream, options, rows), start=1):
        columns |= dict.fromkeys(values)
        rows.rows += _row(number, values, names, rows.malformed)
    rows.columns = tuple(columns)
    return rows


def _row(
    number: int, values: Mapping[str, Any], names: Mapping[str, Names], malformed: list[str]
) -> Iterator[Row]:
    """Yield the row; note in `malformed` what keeps it from being one."""
    try:
        plain = {
            name: with_names(plain_value(value), names.get(name)) for name, value in values.items()
        }
        yield Row(number, plain)
    except UnicodeDecodeError:
        malformed.append(f"row {number}: it has bytes that are no text in UTF-8")
    except ValueError as error:
        malformed.append(f"row {number}: {error}")

"""The files that a study writes for others to read, with their hashes in `hashes.json` beside them.

`hashes.json` is sealed and says in which states each file may be. Usually there is one: the hash of
its contents. Before files are written, `hashes.json` has the old and the new state of each of them.
So a kill between two writes leaves nothing that looks damaged.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import is_plain_file, read_bounded, sha256, write_atomically
from fsl_jax.sealed_json import decode_sealed, encode_sealed

HASHES_FILE = "hashes.json"

FLAGS_FILE = "flags.txt"
"""The flags of a study as a flagfile, which a user may change to begin another one."""

RESULTS_FILE, SUMMARY_FILE, REPORT_FILE = "results.jsonl", "summary.json", "report.md"

TIMINGS_FILE = "timings.jsonl"
"""The only file that cannot be made again from the records of programs."""

MAX_BYTES = 256 << 20
"""The largest file of a study that is read, in bytes."""

States = list[str | None]
"""The hashes of the contents that a file may have; None if it may be missing."""

_ADVICE = f"Put it back from a copy, or remove {HASHES_FILE} to take the files as they are."
_ADVICE_REMADE = (
    f"Remove it, and the study's command makes it again; or remove {HASHES_FILE} to take the files "
    "as they are."
)


class HashedFiles:
    """The files that a study writes for others, by their names relative to its directory."""

    def __init__(self, directory: epath.PathLike):
        """Set the directory, without reading anything yet."""
        self._directory = epath.Path(directory)

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write files and their hashes; files that have these contents already are left alone.

        A file that has changed since it was written is replaced. Use `problems` to find it before.

        Args:
          contents: the contents of each file by its name.

        Raises:
          InputError: `hashes.json` is damaged.
          OSError: a file could not be written; some of the others may be.
        """
        listed = self._read()
        present = {name: self._state(name) for name in contents}
        written = {name: _digest(data) for name, data in contents.items()}
        pending: dict[str, States] = {
            name: list(dict.fromkeys([present[name], digest]))
            if present[name] in listed.get(name, [present[name]])
            else [*listed[name], digest]
            for name, digest in written.items()
        }
        self._write_states(listed, listed | pending)
        for name, data in contents.items():
            if present[name] != written[name]:
                write_atomically(self._directory / name, data)
        settled: dict[str, States] = {name: [digest] for name, digest in written.items()}
        self._write_states(listed | pending, listed | settled)

    def adopt(self, names: Iterable[str]) -> None:
        """Take files as they are, after `hashes.json` was lost or removed.

        Args:
          names: the files; those that do not exist are left out.
        """
        states = {name: self._state(name) for name in names}
        self._write_states({}, {name: [state] for name, state in states.items() if state})

    def problems(self) -> list[str]:
        """List the files that have changed since they were written, and lost timings.

        Other lost files can be made again; `missing` lists them.

        Raises:
          InputError: `hashes.json` is damaged.
        """
        listed = self._read()
        states = {name: self._state(name) for name in listed}
        return [
            f"{name}: {_problem(name, state)}"
            for name, state in states.items()
            if state not in listed[name] and (state or name == TIMINGS_FILE)
        ]

    def missing(self) -> list[str]:
        """List the files that were written, or were about to be, and do not exist."""
        return [name for name in self._read() if not (self._directory / name).exists()]

    def names(self) -> list[str]:
        """List the files that were written, or were about to be."""
        return list(self._read())

    def check(self, name: str, data: bytes | None) -> None:
        """Raise an error if the contents of a file are not those that were written.

        Args:
          name: the file.
          data: its contents; None if it is missing.

        Raises:
          InputError: the file has changed or is lost, or `hashes.json` is damaged.
        """
        state = None if data is None else _digest(data)
        if state not in self._read().get(name, [state]):
            raise InputError(f"{self._directory / name}: {_problem(name, state)}")

    def _state(self, name: str) -> str | None:
        path = self._directory / name
        if not path.exists():
            return None
        return sha256(path) if is_plain_file(path) else "not a plain file"

    def _read(self) -> dict[str, States]:
        path = self._directory / HASHES_FILE
        if not path.exists():
            return {}
        return decode_states(read_bounded(path, MAX_BYTES), path)

    def _write_states(self, old: dict[str, States], new: dict[str, States]) -> None:
        if new != old:
            contents = encode_sealed({"files": dict(sorted(new.items()))})
            write_atomically(self._directory / HASHES_FILE, contents)


def read_hashed(path: epath.PathLike) -> bytes:
    """Return the contents of a file, which must be as `hashes.json` beside it says.

    Args:
      path: the file. A file that `hashes.json` does not list, or beside which there is none, is
        read as it is.

    Returns:
      The contents.

    Raises:
      InputError: the file is missing or has changed, or `hashes.json` is damaged.
    """
    path = epath.Path(path)
    data = read_bounded(path, MAX_BYTES)
    HashedFiles(path.parent).check(path.name, data)
    return data


def decode_states(data: bytes, source: object) -> dict[str, States]:
    """Return the states of files by name, from the contents of `hashes.json`.

    Args:
      data: the contents.
      source: the file, for the error.

    Returns:
      For each file the states that it may have.

    Raises:
      InputError: the contents have changed, or name files outside the directory.
    """
    files = decode_sealed(data, source, _ADVICE).get("files")
    if not isinstance(files, dict) or not all(map(_is_entry, files.items())):
        raise InputError(f"{source}: expected the hashes of files in this directory. {_ADVICE}")
    return files


def _problem(name: str, state: str | None) -> str:
    change = "lost" if state is None else "changed since the study wrote it"
    return f"{change}. {_ADVICE if name == TIMINGS_FILE else _ADVICE_REMADE}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is_entry(entry: tuple[str, object]) -> bool:
    """Return True for the name of a file inside the directory, with its states."""
    name, states = entry
    path = PurePosixPath(name)
    inside = bool(path.parts) and not path.is_absolute() and not {"..", "\0"} & {*path.parts, *name}
    return (
        inside
        and isinstance(states, list)
        and all(state is None or isinstance(state, str) for state in states)
    )

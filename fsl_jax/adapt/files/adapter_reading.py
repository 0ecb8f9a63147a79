"""Read a file of an adapter directory, which may come from anybody."""

from pathlib import Path

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import is_local, is_plain_file, read_bounded


def read_file(path: epath.PathLike, max_bytes: int) -> bytes:
    """Return the contents of a file in an adapter directory.

    Args:
      path: the file.
      max_bytes: the largest size to read, in bytes.

    Returns:
      The bytes.

    Raises:
      InputError: the file is missing, too large or not a plain file, or it is a link that leads out
        of its directory.
    """
    path = epath.Path(path)
    if _leads_outside(path):
        raise InputError(
            f"{path}: a link that leads out of its directory, and is not followed. Put the file "
            "itself there."
        )
    # Look at the size first: reading a file up to the limit could already fill the memory.
    if (size := _size(path)) > max_bytes:
        raise InputError(f"{path}: it has {size:,} bytes, and at most {max_bytes:,} are read here")
    return read_bounded(path, max_bytes)


def _size(path: epath.Path) -> int:
    """Return the size of a file in bytes, or 0 for what is no plain file."""
    if not is_plain_file(path):
        return 0
    return Path(path).stat().st_size if is_local(path) else path.stat().length


def _leads_outside(path: epath.Path) -> bool:
    """Return True for a link to a file that is not the adapter's own."""
    if not is_local(path) or not Path(path).is_symlink():
        return False
    directory, target = Path(path).parent.resolve(), Path(path).resolve()
    return not any(target.is_relative_to(home) for home in (directory, *_hub_files(directory)))


def _hub_files(directory: Path) -> list[Path]:
    """Return where the hub's cache keeps the files that a directory in it has as links."""
    parents = (directory, *directory.parents)
    return [
        folder.parent.parent / "blobs" for folder in parents if folder.parent.name == "snapshots"
    ]

"""Read a file of an adapter directory, which may come from anybody."""

from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.files import read_bounded, stays_inside


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
    if not stays_inside(path):
        raise InputError(
            f"{path}: a link that leads out of its directory, and is not followed. Put the file "
            "itself there."
        )
    return read_bounded(path, max_bytes)

"""A cache of converted weights, in memory-mapped files.

An entry is one safetensors file. Its name holds the SHA-256 of the original weights, the version of
the conversion, and a digest of its own bytes. A file whose bytes do not match the digest in its
name is damaged, and is made again. Most arrays are aligned to 64 bytes. On a CPU, `jax.device_put`
uses such an array without a copy, and processes that run at the same time share it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from absl import logging

from fsl_jax.errors import InputError
from fsl_jax.files import cache_directory, is_local, usable_cache_directory
from fsl_jax.json_reader import MAX_BYTES, parse_json

_ALIGNMENT = 64
_CHUNK = 1 << 24
_STAGING_SECONDS = 3600
_DTYPES = {
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class CachedWeights:
    """Converted weights, and the hash of the original weights.

    Attributes:
      arrays: arrays by path, such as "layers/attention/query/kernel"; nothing may write to them.
      sha256: the SHA-256 of the original file in hex; for several files, the hash of their names
        and hashes.
    """

    arrays: Arrays
    sha256: str


def cached_weights(
    files: Sequence[Path], version: str, build: Callable[[], Arrays]
) -> CachedWeights:
    """Return converted weights, from the cache if an earlier process converted them.

    A killed process leaves no half-written entry, and several processes may call this at once. If
    an entry cannot be written, for example because the disk is full, or there can be no cache, the
    weights are still returned, with a warning.

    Args:
      files: the original files.
      version: the version of the conversion, which becomes part of the file's name. A new version
        makes a new entry and removes the old one.
      build: makes the weights, float32, float16 or bfloat16 arrays by path. It must always make the
        same weights.

    Returns:
      The weights, equal to those that `build` returns.
    """
    sha256 = weights_sha256(files)
    caches = usable_cache_directory()
    # The weights are memory-mapped from the cache, so it has to be on a disk.
    if caches is None or not is_local(caches):
        return CachedWeights(build(), sha256)
    prefix = f"{sha256[:32]}-{version}-"
    for path in sorted(_directory().glob(f"{prefix}*.safetensors")):
        if (arrays := _read(path, digest=path.stem.removeprefix(prefix))) is not None:
            return CachedWeights(arrays, sha256)
        with contextlib.suppress(OSError):
            path.unlink()
    arrays = build()
    try:
        arrays = _write(arrays, prefix)
    except OSError as error:
        logging.warning(
            "converted weights could not be kept in %s, so that the next start converts them "
            "again: %s. Make room, or set FSL_JAX_CACHE to another directory.",
            _directory(),
            error,
        )
    return CachedWeights(arrays, sha256)


def weights_sha256(files: Sequence[Path]) -> str:
    """Return the SHA-256 of a file in hex; for several files, the hash of their names and hashes.

    Args:
      files: the files in any order; their directories do not count.

    Returns:
      64 hexadecimal digits.
    """
    hashes = {}
    for path in sorted(files, key=lambda path: path.name):
        with path.open("rb") as file:
            hashes[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{name} {sha256}\n" for name, sha256 in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def _digest(content: np.ndarray) -> str:
    """Return a hash of the hashes of chunks, which all processors compute in parallel."""
    chunks = [content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = pool.map(lambda chunk: hashlib.sha256(chunk).digest(), chunks)
        return hashlib.sha256(b"".join(hashes)).hexdigest()[:32]


def _read(path: Path, digest: str) -> Arrays | None:
    """Map an entry into memory; if it cannot be used, log the reason and return None."""
    try:
        content = np.memmap(path, np.uint8, "r")
    # Mapping an empty file raises a ValueError.
    except (OSError, ValueError) as error:
        logging.warning("cached weights %s cannot be read and are made again: %s", path, error)
        return None
    if _digest(content) == digest:
        with contextlib.suppress(InputError):
            return arrays_of(content)
    logging.warning("cached weights %s are damaged and are made again", path)
    return None


def arrays_of(content: np.ndarray) -> Arrays:
    """Return the arrays in the content of an entry, without a copy.

    Args:
      content: the bytes of the entry, uint8.

    Returns:
      The arrays by path.

    Raises:
      InputError: the content is malformed.
    """
    length = int.from_bytes(content[:8].tobytes(), "little")
    if length > min(len(content), MAX_BYTES):
        raise InputError("the header of cached weights is longer than the file")
    data = content[8 + length :]
    header = parse_json(content[8 : 8 + length].tobytes(), "cached weights")
    try:
        # A plain array, because slices of a memmap are memmaps too, which are slower.
        return {name: np.asarray(_array(data, **entry)) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise InputError(f"the header of cached weights does not fit them: {error}") from error


def _array(data: np.ndarray, dtype: Any, shape: Any, data_offsets: Any) -> np.ndarray:
    first, last = data_offsets
    if not 0 <= first <= last <= len(data) or any(size < 0 for size in shape):
        raise ValueError(f"an array of shape {shape} is outside the file")
    return data[first:last].view(_DTYPES[dtype]).reshape(shape)


def _write(arrays: Arrays, prefix: str) -> Arrays:
    """Write an entry, remove those of other versions, and map it into memory."""
    directory = _directory()
    directory.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    staging = directory / f".{uuid.uuid4().hex}.staging"
    try:
        _write_safetensors(arrays, staging)
        content = np.memmap(staging, np.uint8, "r")
        digest = _digest(content)
        path = directory / f"{prefix}{digest}.safetensors"
        # Another process was quicker. Keep its file: on a network file system, a process that has
        # mapped a file loses it when the file is replaced.
        if path.exists() and (written := _read(path, digest)) is not None:
            return written
        staging.rename(path)
    finally:
        staging.unlink(missing_ok=True)
    _remove_others(path)
    return arrays_of(content)


def _write_safetensors(arrays: Arrays, path: Path) -> None:
    # The file has no gaps, so arrays that would break the alignment of later arrays come last.
    ordered = dict(
        sorted(arrays.items(), key=lambda item: (item[1].nbytes % _ALIGNMENT != 0, item[0]))
    )
    # There is no need to sync to disk: if a crash loses bytes, the digest shows it.
    with path.open("xb") as file:
        file.write(_header(ordered))
        for array in ordered.values():
            file.write(np.ascontiguousarray(array).view(np.uint8).data)


def _header(arrays: Arrays) -> bytes:
    """Return the beginning of a safetensors file, padded so that the data are aligned."""
    entries, position = {}, 0
    for name, array in arrays.items():
        entries[name] = {
            "dtype": _DTYPE_NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": (position, position + array.nbytes),
        }
        position += array.nbytes
    text = json.dumps(entries).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _remove_abandoned(directory: Path) -> None:
    """Remove the files that killed writers left."""
    for path in directory.glob(".*.staging"):
        # Another process may rename or remove the file meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STAGING_SECONDS:
                path.unlink()


def _remove_others(entry: Path) -> None:
    """Remove all other entries of the same weights; a process that has mapped one keeps it."""
    source = entry.name.partition("-")[0]
    for path in entry.parent.glob(f"{source}-*.safetensors"):
        if path != entry:
            path.unlink(missing_ok=True)


def _directory() -> Path:
    return Path(cache_directory())

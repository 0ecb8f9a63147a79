"""Find a model's files by its name: embedded, on this machine, or on the Hugging Face hub."""

import difflib
from pathlib import Path

from fsl_jax.errors import InputError
from fsl_jax.files import local_path
from fsl_jax.models.checkpoints.directory import FILES
from fsl_jax.models.embedded import EMBEDDED, embedded_path


def locate(name: str) -> Path:
    """Find a model's files, and download them from the hub if they are not on this machine.

    Args:
      name: an embedded name, a directory, a `.gguf` file, or a Hugging Face id.

    Returns:
      A directory, or a `.gguf` file.

    Raises:
      InputError: there is no such model, or the hub cannot be reached.
    """
    if name in EMBEDDED:
        return embedded_path(name)
    path = local_path(name)
    if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
        return path
    if path.is_file():
        raise InputError(
            f"{path} is a file, but not a .gguf file. For safetensors, give the directory with "
            "config.json, tokenizer.json and the weights."
        )
    if path.suffix == ".gguf" or path.is_absolute() or name.startswith((".", "~")):
        raise InputError(f"{path}: no such file or directory. {_known(name)}")
    return _fetch(name)


def _known(name: str) -> str:
    nearest = difflib.get_close_matches(name, EMBEDDED, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(map(repr, nearest))}? " if nearest else ""
    return f"{hint}Embedded models: {', '.join(sorted(EMBEDDED))}."


def _fetch(name: str) -> Path:
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(FILES)))
    # Errors of the hub or the network, or a malformed id.
    except (OSError, ValueError) as error:
        raise InputError(
            f"unknown model {name!r}: it is no embedded model and no path, and as a Hugging Face "
            f"id it could not be fetched: {str(error).strip().splitlines()[0]} {_known(name)}"
        ) from error

"""The base model that an adapter's files name."""

from pathlib import Path
from typing import Any

from etils import epath

from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD
from fsl_jax.adapt.files.adapter_record import read_config, read_record
from fsl_jax.errors import InputError
from fsl_jax.models.embedded import EMBEDDED


def base_name(directory: epath.PathLike, trust_base: bool = False) -> str:
    """Return the name of the base model in an adapter's files.

    A model that is embedded or on this machine is only read, as data. Anything else would be
    fetched from the hub because a file says so, which the user must allow.

    Args:
      directory: the adapter.
      trust_base: True if the model may be fetched.

    Returns:
      A name for `fsl_jax.load`, or the name in PEFT's config.

    Raises:
      InputError: the directory has no adapter, or the adapter names no base model, or one that
        would be fetched without `trust_base`.
    """
    directory = epath.Path(directory)
    name: Any
    if record := read_record(directory / RECORD):
        name = record.base_model["name"]
    elif not (directory / CONFIG).exists():
        raise InputError(f"{directory}: there is no {CONFIG}. Give a directory with an adapter.")
    else:
        name = read_config(directory / CONFIG).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise InputError(f"{directory}: it names no base model. Name it yourself with --model.")
    if not (trust_base or name in EMBEDDED or _is_here(name)):
        raise InputError(
            f"{directory}: it names the base model {name!r}, which would be fetched from the "
            "Hugging Face hub. Give --model to choose the base model yourself, or --trust_base to "
            "use the one that the adapter names."
        )
    return name


def _is_here(name: str) -> bool:
    """Return True for a directory or a GGUF file on this machine."""
    try:
        path = Path(name).expanduser()
        return path.is_dir() or (path.suffix == ".gguf" and path.is_file())
    # A name with a null byte, or a home directory of an unknown user.
    except (OSError, ValueError, RuntimeError):
        return False

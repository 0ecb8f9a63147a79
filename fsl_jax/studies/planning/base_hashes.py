"""The hashes of base models in a plan: their weights, configs and tokenizers must not change."""

from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath

from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import local_path
from fsl_jax.models.checkpoints.file_hashes import file_hashes
from fsl_jax.models.checkpoints.weights_cache import weights_sha256
from fsl_jax.models.embedded import EMBEDDED, embedded_path
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tensors.safetensors_files import weight_files

WEIGHTS = "the weights"


def describe_base(pretrained: Pretrained) -> dict[str, str]:
    """Return the hashes of a loaded model by file name, with those of its weights first."""
    return {WEIGHTS: pretrained.sha256, **pretrained.file_hashes}


def read_base_hashes(name: str) -> dict[str, str] | None:
    """Hash the files of a model without loading it.

    Args:
      name: the model as it was written.

    Returns:
      As `describe_base`; None if the model is no complete directory and no file on this machine.
      Models of the hub are not looked up.
    """
    try:
        path = embedded_path(name) if name in EMBEDDED else local_path(name)
        if path.is_dir():
            return {WEIGHTS: weights_sha256(weight_files(path)), **file_hashes(path)}
    except InputError:
        return None
    return {WEIGHTS: weights_sha256([path])} if path.is_file() else None


def base_problems(
    name: str, models: Mapping[str, Mapping[str, Any]], now: Mapping[str, Any]
) -> list[str]:
    """List the files of a base model that have changed.

    Args:
      name: the model as it was written.
      models: the `models` of a plan.
      now: the hashes of the model now.

    Returns:
      A line for each file.
    """
    begun = models.get(name, {})
    return [
        f"{name}: {file} had the SHA-256 {begun.get(file, '(no such file)')}, and has "
        f"{now.get(file, '(no such file)')}"
        for file in dict.fromkeys([*begun, *now])
        if begun.get(file) != now.get(file)
    ]


def require_no_problems(directory: epath.Path, problems: Iterable[str]) -> None:
    """Raise an error that lists the files of base models that have changed, if there are any."""
    if problems := list(problems):
        raise problems_error(
            f"{directory} holds a study of base models that have changed since it began. Put their "
            "files back, or give another --output:",
            problems,
        )


def require_same_files(
    directory: epath.Path, models: Mapping[str, Mapping[str, Any]], names: Iterable[str]
) -> None:
    """Raise an error if files of base models have changed; models that are gone are not checked.

    Args:
      directory: the study's directory, for the error.
      models: the `models` of its plan.
      names: the models to check, which are not loaded.

    Raises:
      InputError: files have changed; the error lists all of them.
    """
    now = {name: read_base_hashes(name) for name in sorted(names)}
    require_no_problems(
        directory,
        (
            problem
            for name, hashes in now.items()
            if hashes is not None
            for problem in base_problems(name, models, hashes)
        ),
    )

"""The keys under `general.` that decide whether a GGUF file can be read at all."""

from typing import Any

from fsl_jax.errors import brief, problems_error
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata

_EXPECTED: dict[str, Any] = {
    # Other types are adapters, image encoders and statistics of quantization.
    "general.type": "model",
    # The version of the layout of quantized blocks; there was no other in this format.
    "general.quantization_version": 2,
}


def require_model(source: object, metadata: Metadata) -> None:
    """Raise an error for a GGUF file that has something else than a model of a known layout.

    All other keys under `general.` only describe a file. `general.alignment` is read with the
    tensors.

    Args:
      source: the file, for the error.
      metadata: `GGUFFile.metadata`.

    Raises:
      InputError: the file has something else, or another layout.
    """
    problems = [
        f"{key} is {brief(metadata[key])}; expected {expected!r}"
        for key, expected in _EXPECTED.items()
        if key in metadata
        and not (type(metadata[key]) is type(expected) and metadata[key] == expected)
    ]
    if problems:
        raise problems_error(f"{source}: not a model that can be read. {CONVERT_AGAIN}", problems)

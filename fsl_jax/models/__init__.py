"""Pretrained models: families and their shared parts, loading, export and generation."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids
    from fsl_jax.models.blocks.suffix_tokens import append_suffix
    from fsl_jax.models.checkpoints.exporting import export
    from fsl_jax.models.generation.generate import Continuation, generate

__all__ = ["Continuation", "append_suffix", "export", "generate", "prompt_token_ids"]

_HOMES = {
    "Continuation": "fsl_jax.models.generation.generate",
    "append_suffix": "fsl_jax.models.blocks.suffix_tokens",
    "export": "fsl_jax.models.checkpoints.exporting",
    "generate": "fsl_jax.models.generation.generate",
    "prompt_token_ids": "fsl_jax.models.blocks.prompt_tokens",
}


def __getattr__(name: str) -> Any:
    # Import lazily, so that importing one module of this package does not import all of them.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

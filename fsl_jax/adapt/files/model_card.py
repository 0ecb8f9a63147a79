"""The card beside an adapter, as the Hugging Face hub shows it: what it is, and how to load it.

It does not describe the training, which may have been done elsewhere.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from fsl_jax.adapt.merging import obstacles
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.peft.header import task_type
from fsl_jax.adapt.peft.kinds import AdapterKind, missing_kind_reason
from fsl_jax.models.embedded import EMBEDDED
from fsl_jax.models.pretrained import Pretrained

_CLASSES = {
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoModelForSeq2SeqLM",
    "FEATURE_EXTRACTION": "AutoModel",
}
"""The class of transformers that loads a base model, by its PEFT task type."""


def model_card(
    method: Method,
    paths: Sequence[str],
    pretrained: Pretrained,
    kind: AdapterKind | None,
    peft_type: str,
    head: str | None,
) -> str:
    """Return the text of `README.md` in the directory of an adapter.

    Args:
      method: the method.
      paths: the paths of the saved leaves, without those of a task head.
      pretrained: the base model.
      kind: PEFT's kind of adapter for it, or None.
      peft_type: the name of the kind in `adapter_config.json`.
      head: the file with the task head; None if there is none.

    Returns:
      Markdown that begins with the metadata of the hub.
    """
    parts = [_metadata(pretrained.name, kind), f"# {method.name} for {pretrained.name}"]
    parts.append(
        f"An adapter for the model `{pretrained.name}`, in files that fsl_jax has written. The "
        f"method is `{method.name}` ({method.paper}); its settings are in `fsl_jax.json`."
    )
    if kind:
        parts += [f"PEFT reads it, as an adapter of the kind {peft_type}:", _peft(pretrained)]
    else:
        parts.append(
            f"{missing_kind_reason(method, pretrained.config)}, and raises "
            f"`KeyError: '{peft_type}'` for this directory. fsl_jax reads it:"
        )
    parts += ["So does fsl_jax:"] if kind else []
    parts.append(_fsl_jax(pretrained.name))
    if head:
        other = ", which PEFT passes over" if kind else ""
        parts.append(f"The task head is in `{head}`{other}; `load_adapter` puts it into the tree.")
    if paths:
        parts.append(_on_merging(paths, pretrained))
    return "\n\n".join(parts) + "\n"


def _metadata(base: str, kind: AdapterKind | None) -> str:
    """Return the metadata for the hub, which accepts only names of its own base models."""
    named = [f"base_model: {json.dumps(base)}"] if _is_of_the_hub(base) else []
    return "\n".join(["---", *named, f"library_name: {'peft' if kind else 'fsl_jax'}", "---"])


def _is_of_the_hub(name: str) -> bool:
    """Return True if `fsl_jax.models.locate` looks for a name on the hub."""
    if name in EMBEDDED or name.endswith(".gguf") or Path(name).expanduser().exists():
        return False
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None


def _peft(pretrained: Pretrained) -> str:
    loading = _CLASSES[task_type(pretrained.config)]
    base = pretrained.name if _is_of_the_hub(pretrained.name) else "BASE"
    code = (
        "from peft import PeftModel\n"
        f"from transformers import {loading}\n\n"
        f"base = {loading}.from_pretrained({json.dumps(base)})\n"
        'model = PeftModel.from_pretrained(base, "DIRECTORY")'
    )
    if base == pretrained.name:
        return _python(code)
    return f"{_python(code)}\n\n`BASE` is a directory of transformers with the same base model."


def _fsl_jax(base: str) -> str:
    return _python(
        "import fsl_jax\n\n"
        f"pretrained = fsl_jax.load({json.dumps(base)})\n"
        'adapter = fsl_jax.adapt.load_adapter("DIRECTORY", pretrained)'
    )


def _python(code: str) -> str:
    return f"```python\n{code}\n```"


def _on_merging(paths: Sequence[str], pretrained: Pretrained) -> str:
    if reasons := obstacles(paths, pretrained):
        return f"It cannot be merged into the weights of the model: {'; '.join(reasons)}."
    # What is fetched from the hub is not named by a file, but by the user.
    model = f" --model={pretrained.name}" if _is_of_the_hub(pretrained.name) else ""
    command = f"experiments.export --adapter=DIRECTORY{model} --for=merged --output=MERGED"
    return (
        "The base model with the adapter in its weights is written by\n\n"
        f"```sh\npython -m {command}\n```"
    )

"""The adapters and models that vLLM serves: adapters of decoders, merged models, and encoders."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from fsl_jax.adapt.merging import obstacles
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.models.checkpoints.head_config import json_of
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.pretrained import Pretrained

MERGE_INSTEAD = "Write a merged model instead (--for=merged)"

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM takes for --max-lora-rank (vllm/config/lora.py)."""


def reasons_not_served(
    leaves: Mapping[str, Any], pretrained: Pretrained, has_head: bool
) -> list[str]:
    """List why vLLM serves no model with this adapter, merged or not.

    Args:
      leaves: the saved leaves of the adapter by path, without those of a task head.
      pretrained: the base model.
      has_head: whether the adapter has a task head.

    Returns:
      The reasons; none where it serves one.
    """
    if pretrained.config.is_decoder:
        return ["the task head gives classes, and vLLM gives words"] if has_head else []
    values = json_of(pretrained.config, pretrained.head, pretrained.labels)
    pooled = [name for family in FAMILIES.values() for name in family.vllm_embeddings]
    advice = "" if obstacles(leaves, pretrained) else f". {MERGE_INSTEAD}"
    reasons = [
        f"{pretrained.name} is a {name}, which is no decoder and none of the encoders that vLLM "
        f"serves for their embeddings: {', '.join(pooled)}{advice}"
        for name in values["architectures"]
        if name not in pooled
    ]
    if not leaves:
        reasons.append("it is a task head alone, and vLLM gives embeddings: nothing would be left")
    return reasons


def reasons_to_merge(method: Method, config: Config, in_peft_format: bool) -> list[str]:
    """List why vLLM takes this adapter in a merged model only.

    Args:
      method: of the adapter.
      config: of the base model.
      in_peft_format: whether PEFT's format can hold it.

    Returns:
      The reasons; none where it takes the adapter.
    """
    reasons = []
    if not FAMILIES[config.family].vllm_adapters:
        reasons.append(f"vLLM has no adapters for the family {config.family}")
    if not isinstance(method, LoRA):
        reasons.append(f"vLLM has LoRA alone, and this is {method.name}")
    elif method.dora:
        reasons.append("vLLM has no DoRA")
    elif method.rank > max(_RANKS):
        reasons.append(f"vLLM has ranks up to {max(_RANKS)}, and this is {method.rank}")
    elif not in_peft_format:
        reasons.append("PEFT's format, which vLLM reads, cannot hold this adapter")
    return reasons


def note_on_rank(rank: int) -> str:
    """Return how to start vLLM for adapters of a rank that it takes."""
    limit = next(each for each in _RANKS if each >= rank)
    return f"Start vLLM with --enable-lora --max-lora-rank={limit}, or more."


def notes_on_embeddings(with_head: epath.PathLike | None) -> list[str]:
    """Return notes on serving a merged encoder.

    Args:
      with_head: the adapter that was merged, if it has a task head.

    Returns:
      Notes of one or more sentences.
    """
    notes = [
        "vLLM serves its embeddings (--runner=pooling). It pools as the directory's config for "
        "sentence-transformers says, which is not written here, or else takes the first token's "
        """vector; for the mean start it with --pooler-config='{"pooling_type": "MEAN"}'."""
    ]
    if with_head is not None:
        # vLLM reads all files of tensors in a directory, and knows no others than the model's.
        notes.append(
            "The task head is left out, for vLLM has no place for it: experiments.evaluate and "
            f"fsl_jax.adapt.load_adapter use it from {with_head}."
        )
    return notes

"""What vLLM serves: adapters of decoders, merged models, and encoders for their embeddings."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from fsl_jax.adapt.merging import obstacles
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.models.checkpoints.heads import json_of
from fsl_jax.models.families.registry import Config
from fsl_jax.models.pretrained import Pretrained

MERGE_INSTEAD = "Write a merged model instead (--for=merged)"

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM's --max-lora-rank may be, as its configuration has it (vllm/config/lora.py)."""

_WITHOUT_LORA = ("gpt2",)
"""Families of decoders that vLLM serves without adapters."""

_POOLED = ("BertModel", "RobertaModel", "RobertaForMaskedLM", "XLMRobertaModel")
"""Encoders that vLLM serves as models of embeddings, without adapters, as its documentation lists
them (docs/models/pooling_models/embed.md, read in November 2026)."""


def unserved(own: Mapping[str, Any], pretrained: Pretrained, has_head: bool) -> list[str]:
    """Why vLLM serves no model with an adapter in it.

    Args:
      own: the leaves that are saved of the adapter by path, those of a task head left out.
      pretrained: the base model.
      has_head: whether the adapter has a task head.

    Returns:
      The reasons; none where it serves one.
    """
    if pretrained.config.is_decoder:
        return ["the task head gives classes, and vLLM gives words"] if has_head else []
    values = json_of(pretrained.config, pretrained.head, pretrained.labels)
    advice = "" if obstacles(own, pretrained) else f". {MERGE_INSTEAD}"
    found = [
        f"{pretrained.name} is a {name}, which is no decoder and none of the encoders that vLLM "
        f"serves for their embeddings: {', '.join(_POOLED)}{advice}"
        for name in values["architectures"]
        if name not in _POOLED
    ]
    if not own:
        found.append("it is a task head alone, and vLLM gives embeddings: nothing would be left")
    return found


def why_merged(method: Method, config: Config, in_peft_format: bool) -> list[str]:
    """Why vLLM takes an adapter in a merged model alone.

    Args:
      method: of the adapter.
      config: of the base model.
      in_peft_format: whether PEFT's format can hold it.

    Returns:
      The reasons; none where it takes the adapter.
    """
    found = []
    if config.family in _WITHOUT_LORA or not config.is_decoder:
        found.append(f"vLLM has no adapters for the family {config.family}")
    if not isinstance(method, LoRA):
        found.append(f"vLLM has LoRA alone, and this is {method.name}")
    elif method.dora:
        found.append("vLLM has no DoRA")
    elif method.rank > max(_RANKS):
        found.append(f"vLLM has ranks up to {max(_RANKS)}, and this is {method.rank}")
    elif not in_peft_format:
        found.append("PEFT's format, which vLLM reads, cannot hold this adapter")
    return found


def note_on_rank(rank: int) -> str:
    """How vLLM is started for adapters of a rank that it takes."""
    limit = next(each for each in _RANKS if each >= rank)
    return f"Start vLLM with --enable-lora --max-lora-rank={limit}, or more."


def notes_on_embeddings(with_head: epath.PathLike | None) -> list[str]:
    """What to know of a merged encoder.

    Args:
      with_head: the adapter that it was made of, where that has a task head.

    Returns:
      A sentence or more each.
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

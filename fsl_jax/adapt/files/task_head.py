"""Write a task head as the head of transformers' class that classifies texts, where it can be one.

A task head is a linear layer on pooled hidden states. The classes of some families have another
layer and tanh before it. Close to zero tanh is the identity, so that layer divides by a power of
two and the last layer multiplies by it.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.heads import decoder_options
from fsl_jax.models.blocks.pooling import POOLINGS
from fsl_jax.models.checkpoints.head_tensors import is_unused
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.pretrained import Pretrained

_SHRINKING = 2.0**-16
# The last norm of a decoder, whose bias can hold the bias of a head.
_LAST_NORM_BIAS = re.compile(r"(?!layers/|embeddings/)([^/]*norm)/bias")


def task_head_logits(
    pretrained: Pretrained,
    params: Params,
    pooling: str,
    input_ids: Int[np.ndarray, "B T"],
    mask: Bool[np.ndarray, "B T"],
) -> Float[Array, "B C"]:
    """Return the class logits of an adapter's task head.

    Args:
      pretrained: the base model.
      params: the whole tree, with `head`.
      pooling: the name of the pooling.
      input_ids: token ids.
      mask: True for real tokens.

    Returns:
      float32 logits.
    """
    options: dict[str, Any] = {}
    if pretrained.config.is_encoder_decoder and pretrained.is_language_model:
        tokens, real = jnp.asarray(input_ids), jnp.asarray(mask)
        options = decoder_options(pretrained.config, SEQUENCE_CLASSIFICATION, tokens, real)
    output = pretrained.apply(params, input_ids, mask, unembed=False, **options)
    pooled = POOLINGS[pooling](output.hidden.astype(jnp.float32), jnp.asarray(mask))
    return pooled @ params["head"]["kernel"] + params["head"]["bias"][None, :]


def as_classifier(
    pretrained: Pretrained, params: Params, description: Mapping[str, Any]
) -> tuple[Pretrained, Params]:
    """Return a model whose head for classifying texts computes what a task head does.

    Args:
      pretrained: the base model.
      params: merged parameters with `head`, in the structure of the base's.
      description: the adapter's description of its task, with its labels and its pooling.

    Returns:
      The base with the head `sequence_classification` and its labels, and its parameters.

    Raises:
      InputError: transformers' class for the family computes something else, whatever its weights.
    """
    if problem := _obstacle(pretrained, description):
        raise _not_expressible(pretrained, problem)
    kernel = np.asarray(params["head"]["kernel"], np.float32)
    bias = np.asarray(params["head"]["bias"], np.float32)
    leaves = {
        path: leaf
        for path, leaf in flatten(params).items()
        if not path.startswith("head/") and not is_unused(SEQUENCE_CLASSIFICATION, path)
    }
    style = FAMILIES[pretrained.config.family].classifier
    if style.pooler or style.dense:
        layer, width = "pooler" if style.pooler else "classifier/dense", len(kernel)
        leaves[f"{layer}/kernel"] = _SHRINKING * np.eye(width, dtype=np.float32)
        leaves[f"{layer}/bias"] = np.zeros(width, np.float32)
        kernel = kernel / _SHRINKING
    leaves["classifier/output/kernel"] = kernel
    if style.bias:
        leaves["classifier/output/bias"] = bias
    elif np.ptp(bias) > 0:
        leaves |= _bias_in_norm(pretrained, leaves, kernel, bias)
    labels = tuple(str(label) for label in description["labels"])
    model = dataclasses.replace(pretrained, head=SEQUENCE_CLASSIFICATION, labels=labels)
    return model, unflatten(leaves)


def centred(logits: np.ndarray) -> np.ndarray:
    """Return class logits less their mean over the classes, which changes no probability."""
    return logits - logits.mean(axis=-1, keepdims=True)


def _obstacle(pretrained: Pretrained, description: Mapping[str, Any]) -> str:
    """Return the reason why no weights of transformers' class are like the task head, or ''."""
    style = FAMILIES[pretrained.config.family].classifier
    pooling = description.get("pooling")
    if pooling not in POOLINGS or not description.get("labels"):
        return "the adapter does not say how its head pools, or what its labels are"
    if pretrained.config.is_encoder_decoder and not pretrained.is_language_model:
        return "it reads the encoder alone, and transformers' class the decoder too"
    if pooling != style.pooling:
        return f"it pools by {pooling}, and transformers' class by {style.pooling}"
    if style.dense and style.activation is not jnp.tanh:
        return f"transformers' class has {style.activation.__name__} before its last layer"
    end = pretrained.tokenizer.eos_token_id
    if (
        style.dense
        and style.pooling == "last"
        and pretrained.tokenizer("a")["input_ids"][-1:] != [end]
    ):
        return (
            "transformers' class reads the end-of-sequence token, which this tokenizer does not add"
        )
    return ""


def _bias_in_norm(
    pretrained: Pretrained, leaves: Mapping[str, Any], kernel: np.ndarray, bias: np.ndarray
) -> dict[str, Any]:
    """Move a head's bias into the bias of the last norm, for a class whose head has none."""
    norms = [path for path in leaves if _LAST_NORM_BIAS.fullmatch(path)]
    shift = np.linalg.lstsq(kernel.T, bias, rcond=None)[0]
    if len(norms) != 1 or not np.allclose(shift @ kernel, bias, rtol=1e-6, atol=1e-6):
        raise _not_expressible(pretrained, "it has a bias, and transformers' class has none")
    return {norms[0]: np.asarray(leaves[norms[0]], np.float32) + shift.astype(np.float32)}


def _not_expressible(pretrained: Pretrained, reason: str) -> InputError:
    return InputError(
        f"the task head cannot be written as the head of a {pretrained.config.family} that "
        f"classifies texts in transformers: {reason}. Write the model without it, with the head in "
        "a file of its own (--separate_head), or evaluate the adapter itself (experiments.evaluate)"
    )


def run_task_head(
    pretrained: Pretrained, params: Params, pooling: str, ids: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """Compile `task_head_logits`, and return its logits."""
    function = jax.jit(lambda params: task_head_logits(pretrained, params, pooling, ids, mask))
    return np.asarray(function(params))

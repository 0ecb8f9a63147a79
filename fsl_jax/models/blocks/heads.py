"""Run a head, from the hidden states of a model to logits or features.

`head_kinds.py` lists the kinds. A head's leaves are at the top of the parameter tree.

In an encoder-decoder, heads read only the encoder, except to classify texts. To classify, the
decoder reads the text again, shifted by one token, and its hidden state at the last token
represents the text.
"""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import token_positions
from fsl_jax.models.blocks.classifiers import (
    ClassifierStyle,
    SequenceClassifier,
    TokenClassifier,
)
from fsl_jax.models.blocks.head_kinds import (
    ENCODER_HEADS,
    FEATURES,
    LANGUAGE_MODELS,
    MASKED_LM,
    POOLED_HEADS,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout, PRNGKey
from fsl_jax.models.blocks.masked_lm import MaskedLM
from fsl_jax.models.blocks.pooling import POOLINGS, Hidden
from fsl_jax.models.outputs import ModelOutput, Params
from fsl_jax.models.tensors.stored import Shape

# The number that dropout folds into its key for heads, far above those of layers.
_HEAD = 2**16


def decoder_options(
    config: Any,
    head: str,
    tokens: Int[Array, "B T"],
    mask: Bool[Array, "*shape"],
    segment_ids: Int[Array, "B T"] | None = None,
) -> dict[str, Any]:
    """Return the arguments for running an encoder-decoder with a head.

    Args:
      config: of the model.
      head: a kind of head, other than a language model.
      tokens: the ids that the encoder reads.
      mask: the attention mask, `[B, T]` for a head that pools.
      segment_ids: the segments of packed rows. The decoder then reads each text in the places where
        the encoder reads it, and nothing in the places of a soft prompt.

    Returns:
      Keyword arguments of the module.

    Raises:
      InputError: the head pools, and the mask does not say which tokens are real.
    """
    if head in ENCODER_HEADS:
        return {"decodes": False}
    _require_text_mask(head, mask)
    text = mask & (tokens < config.vocab_size)
    first = text & (token_positions(text, segment_ids) == 0)
    start = jnp.asarray(config.decoder_start_token, tokens.dtype)
    shifted = jnp.where(first, start, jnp.roll(tokens, 1, axis=1))
    options = {"decoder_input_ids": shifted, "decoder_attention_mask": text}
    return options if segment_ids is None else options | {"decoder_segment_ids": segment_ids}


def _require_text_mask(head: str, mask: Bool[Array, "*shape"]) -> None:
    if mask.ndim != 2:
        raise InputError(
            f"the head {head} needs an attention_mask of shape [B, T], which says what tokens are "
            "real, and was given one of [B, T, S]. Use no head, and pool the hidden states."
        )


def require_own_rows(head: str) -> None:
    """Raise an error if a head pools rows, since packed rows hold several texts."""
    if head in POOLED_HEADS:
        raise InputError(
            f"the head {head} pools whole rows, and with segment_ids a row holds several texts. "
            "Call `apply` with unembed=False, and pool the hidden states of each text: by "
            "`classify` for the head that classifies texts, else by POOLINGS."
        )


def classify_texts(
    classifier: ClassifierStyle,
    params: Params,
    hidden: Hidden,
    mask: Bool[Array, "B S"],
    dropout: Dropout = NO_DROPOUT,
) -> Float[Array, "B C"]:
    """Pool the hidden states of texts, and run the head that classifies texts.

    Args:
      classifier: the way in which the family classifies texts.
      params: the parameters, with the head's leaves.
      hidden: the hidden states, in one of the two layouts of `pooling.py`.
      mask: True where a token belongs to a text.
      dropout: the dropout of the whole model.

    Returns:
      float32 logits.
    """
    pooled = POOLINGS[classifier.pooling](hidden.astype(jnp.float32), mask)
    head = SequenceClassifier(_labels(params), classifier)
    logits: Any = head.apply({"params": params}, pooled, dropout.within(_HEAD))
    return logits


def apply_head(
    config: Any,
    head: str,
    classifier: ClassifierStyle,
    params: Params,
    output: ModelOutput,
    mask: Bool[Array, "*shape"],
    dropout: Dropout = NO_DROPOUT,
) -> ModelOutput:
    """Run a head on the hidden states of a model, and add the result to the model's output.

    Args:
      config: of the model.
      head: a kind of head, other than a decoder's language model.
      classifier: the way in which the family classifies texts.
      params: the parameters, with the head's leaves.
      output: the model's output, with `hidden [B, T, D]`.
      mask: the attention mask, `[B, T]` for a head that pools.
      dropout: the dropout of the whole model.

    Returns:
      The output with float32 `logits` `[B, T, V]`, `[B, C]` or `[B, T, C]`, or with `features`
      `[B, D]`.

    Raises:
      InputError: the head pools, and the mask does not say which tokens are real.
    """
    if head in POOLED_HEADS:
        _require_text_mask(head, mask)
    if head in FEATURES:
        pooled = POOLINGS[FEATURES[head]](output.hidden.astype(jnp.float32), mask)
        return dataclasses.replace(output, features=pooled)
    if head == SEQUENCE_CLASSIFICATION:
        logits = classify_texts(classifier, params, output.hidden, mask, dropout)
        return dataclasses.replace(output, logits=logits)
    module = _module(config, head, classifier, _labels(params))
    inputs: tuple[Any, ...] = (output.hidden,)
    if head == TOKEN_CLASSIFICATION:
        inputs += (dropout.within(_HEAD),)
    return dataclasses.replace(output, logits=module.apply({"params": params}, *inputs))


def head_shapes(
    config: Any, head: str, classifier: ClassifierStyle, labels: int
) -> dict[str, Shape]:
    """Return the shapes of the leaves that a head reads, by path; some belong to the model.

    Args:
      config: of the model.
      head: the kind of head.
      classifier: the way in which the family classifies texts.
      labels: the number of classes of a classifier.

    Returns:
      The shapes; none for a head without leaves.
    """
    if head in FEATURES or head in LANGUAGE_MODELS:
        return {}
    leaves = jax.eval_shape(_initialiser(config, head, classifier, labels), jax.random.key(0))
    return {path: leaf.shape for path, leaf in leaves.items()}


def initial_head(
    config: Any,
    head: str,
    classifier: ClassifierStyle,
    labels: int,
    key: PRNGKey,
    paths: Collection[str],
) -> dict[str, np.ndarray]:
    """Draw leaves of a head: kernels with a standard deviation of 0.02, and biases of 0.

    Args:
      config: of the model.
      head: the kind of head.
      classifier: the way in which the family classifies texts.
      labels: the number of classes of a classifier.
      key: a threefry key.
      paths: the paths of the leaves to draw.

    Returns:
      float32 leaves by path.
    """
    initialise = _initialiser(config, head, classifier, labels)

    def draw(key: PRNGKey) -> dict[str, Array]:
        return {path: leaf for path, leaf in initialise(key).items() if path in paths}

    return {path: np.asarray(leaf) for path, leaf in jax.jit(draw)(key).items()}


def _initialiser(
    config: Any, head: str, classifier: ClassifierStyle, labels: int
) -> Callable[[PRNGKey], dict[str, Array]]:
    hidden = jnp.zeros((1, 1, config.hidden_size))
    module = _module(config, head, classifier, labels)
    return lambda key: flatten_dict(module.init(key, hidden)["params"], sep="/")


def _labels(params: Params) -> int:
    return params["classifier"]["output"]["kernel"].shape[-1] if "classifier" in params else 0


def _module(config: Any, head: str, classifier: ClassifierStyle, labels: int) -> nn.Module:
    if head == MASKED_LM:
        return MaskedLM(config)
    if head == TOKEN_CLASSIFICATION:
        return TokenClassifier(labels)
    return SequenceClassifier(labels, classifier)

"""Heads: what a model's hidden states become, tokens, classes or features.

A head's leaves are at the top of the parameter tree, under `lm_head` or `classifier`, and beside
them BERT's `pooler`. Its kind goes by these names, whatever the family:

- `masked_lm`: which token stands behind a mask, for encoders;
- `causal_lm`, `seq2seq_lm`: the next token, by the output embedding that every decoder has;
- `sequence_classification`: the class of a text;
- `token_classification`: the class of each token;
- `mean_features`, `cls_features`: the mean of the hidden states of a text, or the first of them.

Of an encoder-decoder the encoder alone is read, except to classify texts: its decoder then reads
the text a second time, shifted by one, and the state at its last token stands for the text.
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
from fsl_jax.models.blocks.functions import gelu
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dense, Dropout, Embedding, LayerNorm, PRNGKey
from fsl_jax.models.blocks.pooling import POOLINGS
from fsl_jax.models.outputs import ModelOutput, Params
from fsl_jax.models.tensors.tensor_map import Shape

MASKED_LM = "masked_lm"
LANGUAGE_MODELS = ("causal_lm", "seq2seq_lm")
CLASSIFIERS = ("sequence_classification", "token_classification")
FEATURES = {"mean_features": "mean", "cls_features": "cls"}
"""The heads without leaves, and how they pool."""
ENCODER_HEADS = ("token_classification", *FEATURES)
"""The heads for which an encoder-decoder's encoder is enough."""

# The numbers that dropout folds in, of heads, far behind those of layers, and of places in a head.
_HEAD = 2**16
_BEFORE_DENSE, _BEFORE_OUTPUT = range(2)


@dataclasses.dataclass(frozen=True)
class ClassifierStyle:
    """How a family classifies texts.

    Attributes:
      pooling: which hidden state stands for the text, as in `POOLINGS`.
      pooler: whether it goes through the model's pooler.
      dense: whether it goes through a linear map of the head's own.
      activation: what follows that map or the pooler.
      bias: whether the linear map to the classes has a bias.
      drops_input: whether what goes into the linear map of the head's own is dropped from.
      drops: whether what goes into the linear map to the classes is dropped from.
    """

    pooling: str = "last"
    pooler: bool = False
    dense: bool = False
    activation: Callable[[Array], Array] = jnp.tanh
    bias: bool = False
    drops_input: bool = False
    drops: bool = False


_DECODERS = ClassifierStyle()
_ROBERTA = ClassifierStyle("cls", dense=True, bias=True, drops_input=True, drops=True)
_T5 = dataclasses.replace(_ROBERTA, pooling="last")
_STYLES = {
    "bert": ClassifierStyle("cls", pooler=True, bias=True, drops=True),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "distilbert": ClassifierStyle("cls", dense=True, activation=jax.nn.relu, bias=True, drops=True),
    "t5": _T5,
    "mt5": _T5,
}
_TOKENS = ClassifierStyle(bias=True, drops=True)


class WordEmbeddings(nn.Module):
    """The word embedding of the model, as the head finds it in the tree."""

    config: Any

    def setup(self):
        """Names the parts."""
        dtype = jnp.dtype("float32")  # of words that are looked up, which none is here
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, dtype)


class TokenTransform(nn.Module):
    """What the hidden states of a masked language model go through before the word embedding."""

    config: Any

    def setup(self):
        """Names the parts."""
        self.dense = Dense(self.config.hidden_size)
        self.norm = LayerNorm(self.config.norm_epsilon)
        self.bias = self.param("bias", nn.initializers.zeros, (self.config.vocab_size,))

    def __call__(self, hidden: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """A linear map, a GELU and a norm."""
        return self.norm(gelu(self.dense(hidden)))


class MaskedLM(nn.Module):
    """Logits of tokens by the word embedding, to which the head is tied, with a bias for each."""

    config: Any

    def setup(self):
        """Names the parts."""
        self.embeddings = WordEmbeddings(self.config)
        self.lm_head = TokenTransform(self.config)

    def __call__(
        self, hidden: Float[Array, "*batch D"], rows: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """The float32 logits of all tokens, or of some."""
        flat = self.lm_head(hidden.reshape(1, -1, hidden.shape[-1]))[0]
        bias = self.lm_head.bias if rows is None else self.lm_head.bias[rows]
        logits = self.embeddings.word.attend(flat, rows) + bias.astype(jnp.float32)[None]
        return logits.reshape(*hidden.shape[:-1], -1)


class ClassifierLayers(nn.Module):
    """The linear map to the classes, perhaps after another one."""

    labels: int
    style: ClassifierStyle

    @nn.compact
    def __call__(self, x: Float[Array, "*batch D"], dropout: Dropout) -> Float[Array, "*batch C"]:
        """Maps `[..., D]` to `[..., C]`."""
        if self.style.dense:
            x = dropout(x, _BEFORE_DENSE) if self.style.drops_input else x
            x = self.style.activation(Dense(x.shape[-1], name="dense")(x))
        x = dropout(x, _BEFORE_OUTPUT) if self.style.drops else x
        return Dense(self.labels, use_bias=self.style.bias, name="output")(x)


class SequenceClassifier(nn.Module):
    """Classes of texts, from the hidden state that stands for each."""

    labels: int
    style: ClassifierStyle

    @nn.compact
    def __call__(
        self, hidden: Float[Array, "B T D"], mask: Bool[Array, "B T"], dropout: Dropout = NO_DROPOUT
    ) -> Float[Array, "B C"]:
        """The float32 logits of texts whose real tokens the mask names."""
        x = POOLINGS[self.style.pooling](hidden.astype(jnp.float32), mask)
        if self.style.pooler:
            x = self.style.activation(Dense(x.shape[-1], name="pooler")(x))
        return ClassifierLayers(self.labels, self.style, name="classifier")(x, dropout)


class TokenClassifier(nn.Module):
    """Classes of tokens, from the hidden state of each."""

    labels: int

    @nn.compact
    def __call__(
        self, hidden: Float[Array, "B T D"], dropout: Dropout = NO_DROPOUT
    ) -> Float[Array, "B T C"]:
        """The float32 logits of all tokens."""
        layers = ClassifierLayers(self.labels, _TOKENS, name="classifier")
        return layers(hidden.astype(jnp.float32), dropout)


def decoder_options(
    config: Any, head: str, tokens: Int[Array, "B T"], mask: Bool[Array, "*shape"]
) -> dict[str, Any]:
    """What an encoder-decoder with a head of its own does with its decoder.

    Args:
      config: of the model.
      head: a kind of head other than its language model.
      tokens: that the encoder reads.
      mask: their attention mask, `[B, T]` for a head that pools.

    Returns:
      Arguments of the module.

    Raises:
      InputError: as `apply_head`.
    """
    if head in ENCODER_HEADS:
        return {"decodes": False}
    _require_text_mask(head, mask)
    first = mask & (jnp.cumsum(mask, axis=1) == 1)
    start = jnp.asarray(config.decoder_start_token, tokens.dtype)
    shifted = jnp.where(first, start, jnp.roll(tokens, 1, axis=1))
    return {"decoder_input_ids": shifted, "decoder_attention_mask": mask}


def _require_text_mask(head: str, mask: Bool[Array, "*shape"]) -> None:
    if mask.ndim != 2:
        raise InputError(
            f"the head {head} needs an attention_mask of shape [B, T], which says what tokens are "
            "real, and was given one of [B, T, S]. Use no head, and pool the hidden states."
        )


def apply_head(
    config: Any,
    head: str,
    params: Params,
    output: ModelOutput,
    mask: Bool[Array, "*shape"],
    dropout: Dropout = NO_DROPOUT,
) -> ModelOutput:
    """Adds what a head makes of the hidden states.

    Args:
      config: of the model.
      head: a kind of head other than a decoder's language model.
      params: with the head's leaves.
      output: of the model, with `hidden [B, T, D]`.
      mask: the attention mask, `[B, T]` for a head that pools.
      dropout: of the whole model.

    Returns:
      The output with float32 `logits` `[B, T, V]`, `[B, C]` or `[B, T, C]`, or with `features`
      `[B, D]`.

    Raises:
      InputError: the head pools, and the mask does not say which tokens are real.
    """
    pools = head in FEATURES or head == "sequence_classification"
    if pools:
        _require_text_mask(head, mask)
    if head in FEATURES:
        pooled = POOLINGS[FEATURES[head]](output.hidden.astype(jnp.float32), mask)
        return dataclasses.replace(output, features=pooled)
    module = _module(config, head, _labels(params))
    inputs: tuple[Any, ...] = (output.hidden, mask) if pools else (output.hidden,)
    if head in CLASSIFIERS:
        inputs += (dropout.within(_HEAD),)
    return dataclasses.replace(output, logits=module.apply({"params": params}, *inputs))


def masked_logits(
    config: Any,
    params: Params,
    hidden: Float[Array, "*batch D"],
    rows: Int[Array, " n"] | None,
) -> Float[Array, "*batch n"]:
    """The float32 logits that a masked language model's head gives, of all tokens or of some."""
    logits: Any = MaskedLM(config).apply({"params": params}, hidden, rows)
    return logits


def head_shapes(config: Any, head: str, labels: int) -> dict[str, Shape]:
    """The shapes of the leaves that a head reads, by path: those of the model among them.

    Args:
      config: of the model.
      head: the kind of head.
      labels: classes of a classifier.

    Returns:
      The shapes; none for a head without leaves.
    """
    if head in FEATURES or head in LANGUAGE_MODELS:
        return {}
    leaves = jax.eval_shape(_initialiser(config, head, labels), jax.random.key(0))
    return {path: leaf.shape for path, leaf in leaves.items()}


def initial_head(
    config: Any, head: str, labels: int, key: PRNGKey, paths: Collection[str]
) -> dict[str, np.ndarray]:
    """Draws leaves of a head: kernels with a standard deviation of 0.02; biases are 0.

    Args:
      config: of the model.
      head: the kind of head.
      labels: classes of a classifier.
      key: a threefry key.
      paths: the leaves to draw.

    Returns:
      float32 leaves by path.
    """
    initialise = _initialiser(config, head, labels)

    def draw(key: PRNGKey) -> dict[str, Array]:
        return {path: leaf for path, leaf in initialise(key).items() if path in paths}

    return {path: np.asarray(leaf) for path, leaf in jax.jit(draw)(key).items()}


def _initialiser(config: Any, head: str, labels: int) -> Callable[[PRNGKey], dict[str, Array]]:
    hidden, mask = jnp.zeros((1, 1, config.hidden_size)), jnp.ones((1, 1), bool)
    inputs = (hidden, mask) if head == "sequence_classification" else (hidden,)
    module = _module(config, head, labels)
    return lambda key: flatten_dict(module.init(key, *inputs)["params"], sep="/")


def _labels(params: Params) -> int:
    return params["classifier"]["output"]["kernel"].shape[-1] if "classifier" in params else 0


def _module(config: Any, head: str, labels: int) -> nn.Module:
    if head == MASKED_LM:
        return MaskedLM(config)
    if head == "token_classification":
        return TokenClassifier(labels)
    return SequenceClassifier(labels, _STYLES.get(config.family, _DECODERS))

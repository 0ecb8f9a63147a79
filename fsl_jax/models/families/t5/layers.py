"""The sizes of a T5 model and its layers, which the encoder and the decoder are stacks of."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float

from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import LearnedPrefix
from fsl_jax.models.attention.biased_attention import Source, attend_to
from fsl_jax.models.blocks.functions import gated_silu, tanh_gelu
from fsl_jax.models.blocks.layers import Bottleneck, Dense, Dropout, RMSNorm, learned_prefix

# The numbers that dropout folds in, of the places in a layer.
_AFTER_ATTENTION, _AFTER_CROSS_ATTENTION, _IN_MLP, _AFTER_MLP = range(4)

FEED_FORWARDS = ("relu", "gated-gelu", "gated-silu")
"""The multilayer perceptrons that there are, as `feed_forward_proj` of `config.json`."""

Pair = tuple[Float[Array, "B T H Dh"], Float[Array, "B T H Dh"]]


@dataclasses.dataclass(frozen=True)
class T5Config:
    """The sizes of a T5 encoder-decoder.

    Attributes:
      vocab_size: rows of the word embedding, `V`, which both stacks share.
      hidden_size: model width, `D`.
      mlp_size: width inside the multilayer perceptron.
      num_layers: layers of the encoder.
      num_decoder_layers: layers of the decoder.
      num_heads: attention heads, `H`.
      head_dim: width of a head, `Dh`.
      max_length: the longest sequence of either stack that the model was trained for.
      feed_forward: one of `FEED_FORWARDS`.
      num_buckets: rows of the tables of relative positions.
      max_distance: from so many tokens on, all share the last bucket.
      norm_epsilon: added to the mean square in normalisation.
      tied: whether the output embedding is the input embedding.
      scaled: whether hidden states are divided by the root of `D` before the output embedding, as
        T5 1.0 does, whose output embedding is tied.
      decoder_start_token: the token that the decoder's tokens begin with.
      family: as `model_type` of `config.json`.
    """

    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    head_dim: int
    max_length: int = 512
    feed_forward: str = "relu"
    num_buckets: int = 32
    max_distance: int = 128
    norm_epsilon: float = 1e-6
    tied: bool = True
    scaled: bool = True
    decoder_start_token: int = 0
    family: str = "t5"
    is_decoder: ClassVar[bool] = False
    is_encoder_decoder: ClassVar[bool] = True

    def __post_init__(self):
        if self.num_buckets < 4 or self.max_distance <= self.num_buckets // 2:
            raise InputError(
                f"{self.num_buckets} buckets cannot hold distances up to {self.max_distance}: "
                "there are 4 or more, of which half hold one distance each. The checkpoint's "
                "config is wrong."
            )

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values: every attention head has its own."""
        return self.num_heads


@dataclasses.dataclass(frozen=True)
class StackInputs:
    """How the tokens of a stack see each other, and those of a prefix.

    Attributes:
      mask: `[B, 1 or T, T]`, True where a token sees another.
      bias: `[1 or B, H, T, T]`, of relative positions.
      prefix_mask: `[B, T, P]`, or None without a prefix.
      prefix_bias: `[B, H, T, P]`, or None.
      learned_bias: `[1 or B, H, T, P]`, of a learned prefix, or None without one.
    """

    mask: Bool[Array, "B Q T"]
    bias: Float[Array, "P_B H T T"]
    prefix_mask: Bool[Array, "B T P"] | None = None
    prefix_bias: Float[Array, "B H T P"] | None = None
    learned_bias: Float[Array, "P_B H T _"] | None = None

    def sources(
        self, own: Pair, prefix: tuple[Array, Array] | None, learned: LearnedPrefix | None
    ) -> list[Source]:
        """What the tokens attend to in one layer."""
        keys, values = own
        sources = [Source(keys, values, self.mask, self.bias)]
        if prefix is not None and self.prefix_mask is not None:
            keys, values = prefix
            sources.append(Source(keys, values, self.prefix_mask, self.prefix_bias))
        if learned is not None:
            keys, values = learned.keys[None], learned.values[None]
            sources.append(Source(keys, values, learned.mask, self.learned_bias))
        return sources


class T5Attention(nn.Module):
    """The norm, then attention, whose queries are not scaled."""

    config: T5Config

    def setup(self):
        """Names the parts."""
        inner = self.config.num_heads * self.config.head_dim
        self.norm = RMSNorm(self.config.norm_epsilon)
        self.query = Dense(inner, use_bias=False)
        self.key = Dense(inner, use_bias=False)
        self.value = Dense(inner, use_bias=False)
        self.output = Dense(self.config.hidden_size, use_bias=False)
        self.adapter = Bottleneck()

    def __call__(
        self,
        x: Float[Array, "B T D"],
        stack_inputs: StackInputs,
        prefix: tuple[Array, Array] | None,
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """The update of `x` by what its tokens see of each other, and their keys and values."""
        normed = self.norm(x)
        own = self.key_values(normed)
        sources = stack_inputs.sources(own, prefix, learned_prefix(self, own[0]))
        attended = attend_to(self._split(self.query(normed)), *sources)
        return self.adapter(self.output(attended), normed), own

    def to_encoded(self, x: Float[Array, "B T D"], encoded: Source) -> Float[Array, "B T D"]:
        """The update of `x` by what its tokens see of an encoder's."""
        normed = self.norm(x)
        attended = attend_to(self._split(self.query(normed)), encoded)
        return self.adapter(self.output(attended), normed)

    def key_values(self, hidden: Float[Array, "B S D"]) -> Pair:
        """The keys and values of tokens, `[B, S, H, Dh]` each."""
        return self._split(self.key(hidden)), self._split(self.value(hidden))

    def _split(self, y: Float[Array, "B T E"]) -> Float[Array, "B T H Dh"]:
        return y.reshape(*y.shape[:2], self.config.num_heads, self.config.head_dim)


class T5MLP(nn.Module):
    """The norm, then a multilayer perceptron, which may be gated."""

    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], dropout: Dropout) -> Float[Array, "B T D"]:
        """The update of each vector of `[B, T, D]`."""
        sizes = self.config
        normed = RMSNorm(sizes.norm_epsilon, name="norm")(x)
        inner = Dense(sizes.mlp_size, use_bias=False, name="up")(normed)
        if sizes.feed_forward == "relu":
            inner = jax.nn.relu(inner)
        else:
            gate = Dense(sizes.mlp_size, use_bias=False, name="gate")(normed)
            is_silu = sizes.feed_forward == "gated-silu"
            inner = gated_silu(gate, inner) if is_silu else tanh_gelu(gate) * inner
        down = Dense(sizes.hidden_size, use_bias=False, name="down")
        return Bottleneck(name="adapter")(down(dropout(inner, _IN_MLP)), normed)


class T5Layer(nn.Module):
    """One layer of the encoder, or one of the decoder, which attends to what was encoded too."""

    config: T5Config

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T D"],
        stack_inputs: StackInputs,
        dropout: Dropout,
        prefix: tuple[Array, Array] | None = None,
        encoded: Source | None = None,
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Adds the updates of attention and of the multilayer perceptron."""
        update, own = T5Attention(self.config, name="attention")(x, stack_inputs, prefix)
        x += dropout(update, _AFTER_ATTENTION)
        if encoded is not None:
            cross_attention = T5Attention(self.config, name="cross_attention")
            if self.is_initializing():
                cross_attention.key_values(x)
            x += dropout(cross_attention.to_encoded(x, encoded), _AFTER_CROSS_ATTENTION)
        update = T5MLP(self.config, name="mlp")(x, dropout)
        return x + dropout(update, _AFTER_MLP), own

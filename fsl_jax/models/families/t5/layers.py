"""The layers of a T5 model's encoder and decoder."""

import dataclasses

import flax.linen as nn
import jax
from jaxtyping import Array, Bool, Float

from fsl_jax.models.attention.attention import LearnedPrefix
from fsl_jax.models.attention.biased_attention import Source, biased_attention
from fsl_jax.models.blocks.functions import gated_silu, tanh_gelu
from fsl_jax.models.blocks.layers import Bottleneck, Dense, Dropout, RMSNorm, learned_prefix
from fsl_jax.models.families.t5.config import T5Config

# The numbers that dropout folds into its key, one for each use in a layer.
_AFTER_ATTENTION, _AFTER_CROSS_ATTENTION, _IN_MLP, _AFTER_MLP = range(4)

Pair = tuple[Float[Array, "B T H Dh"], Float[Array, "B T H Dh"]]


@dataclasses.dataclass(frozen=True)
class StackInputs:
    """The inputs of attention in all layers of a stack.

    Attributes:
      mask: `[B, 1 or T, T]`, True where a token sees another.
      bias: `[1 or B, H, T, T]`, the bias of relative positions.
      prefix_mask: `[B, T, P]`, the mask of a prefix; None without one.
      prefix_bias: `[B, H, T, P]`, the bias of a prefix; None without one.
      learned_bias: `[1 or B, H, T, P]`, the bias of a learned prefix; None without one.
    """

    mask: Bool[Array, "B Q T"]
    bias: Float[Array, "P_B H T T"]
    prefix_mask: Bool[Array, "B T P"] | None = None
    prefix_bias: Float[Array, "B H T P"] | None = None
    learned_bias: Float[Array, "P_B H T _"] | None = None

    def sources(
        self, pair: Pair, prefix: tuple[Array, Array] | None, learned: LearnedPrefix | None
    ) -> list[Source]:
        """Return the keys and values that the tokens attend to in one layer.

        Args:
          pair: the keys and values of these tokens.
          prefix: the keys and values of a prefix.
          learned: the layer's learned prefix.
        """
        keys, values = pair
        sources = [Source(keys, values, self.mask, self.bias)]
        if prefix is not None and self.prefix_mask is not None:
            keys, values = prefix
            sources.append(Source(keys, values, self.prefix_mask, self.prefix_bias))
        if learned is not None:
            keys, values = learned.keys[None], learned.values[None]
            sources.append(Source(keys, values, learned.mask, self.learned_bias))
        return sources


class T5Attention(nn.Module):
    """A norm, then attention, whose queries are not scaled."""

    config: T5Config

    def setup(self):
        """Create the submodules."""
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
        """Return the update of `x` by self-attention, and the keys and values of its tokens."""
        normed = self.norm(x)
        pair = self.key_values(normed)
        sources = stack_inputs.sources(pair, prefix, learned_prefix(self, pair[0]))
        attended = biased_attention(self._split(self.query(normed)), *sources)
        return self.adapter(self.output(attended), normed), pair

    def to_encoded(self, x: Float[Array, "B T D"], encoded: Source) -> Float[Array, "B T D"]:
        """Return the update of `x` by cross-attention to the encoder's tokens."""
        normed = self.norm(x)
        attended = biased_attention(self._split(self.query(normed)), encoded)
        return self.adapter(self.output(attended), normed)

    def key_values(self, hidden: Float[Array, "B S D"]) -> Pair:
        """Return the keys and values of tokens, `[B, S, H, Dh]` each."""
        return self._split(self.key(hidden)), self._split(self.value(hidden))

    def _split(self, y: Float[Array, "B T E"]) -> Float[Array, "B T H Dh"]:
        return y.reshape(*y.shape[:2], self.config.num_heads, self.config.head_dim)


class T5MLP(nn.Module):
    """A norm, then a multilayer perceptron, which may be gated."""

    config: T5Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], dropout: Dropout) -> Float[Array, "B T D"]:
        """Return the update of each vector of `[B, T, D]`."""
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
    """A layer of the encoder, or of the decoder, which attends to the encoder's tokens too."""

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
        """Add the updates of attention and of the multilayer perceptron."""
        update, pair = T5Attention(self.config, name="attention")(x, stack_inputs, prefix)
        x += dropout(update, _AFTER_ATTENTION)
        if encoded is not None:
            cross_attention = T5Attention(self.config, name="cross_attention")
            if self.is_initializing():
                cross_attention.key_values(x)
            x += dropout(cross_attention.to_encoded(x, encoded), _AFTER_CROSS_ATTENTION)
        update = T5MLP(self.config, name="mlp")(x, dropout)
        return x + dropout(update, _AFTER_MLP), pair

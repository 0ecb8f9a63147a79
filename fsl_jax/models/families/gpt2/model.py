"""GPT-2 decoders (Radford et al., 2019, "Language models are unsupervised multitask learners")."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.attention import attend
from fsl_jax.models.attention.causal import Pair, PrefixPair
from fsl_jax.models.blocks.decoder import Decoder
from fsl_jax.models.blocks.functions import tanh_gelu
from fsl_jax.models.blocks.layers import (
    Bottleneck,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    Unembedding,
    learned_prefix,
)
from fsl_jax.models.blocks.multi_head_config import MultiHeadConfig

# The numbers that dropout folds into its key, one for each use in a layer.
_AFTER_ATTENTION, _AFTER_MLP = 0, 1


@dataclasses.dataclass(frozen=True)
class GPT2Config(MultiHeadConfig):
    """The sizes of a GPT-2 decoder.

    Attributes besides those of `MultiHeadConfig`:
      norm_epsilon: a small number that norms add to the variance.
      tied: True if the output embedding is the input embedding.
    """

    norm_epsilon: float = 1e-5
    tied: bool = True
    family: ClassVar[str] = "gpt2"
    is_decoder: ClassVar[bool] = True
    is_encoder_decoder: ClassVar[bool] = False


class GPT2Attention(nn.Module):
    """A norm, then self-attention over these tokens and those of the prefix."""

    config: GPT2Config

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T S"], prefix: PrefixPair | None
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Return the update of `x`, and the keys and values of its tokens."""
        sizes = self.config
        normed = LayerNorm(sizes.norm_epsilon, name="norm")(x)

        def split(name: str) -> Float[Array, "B T H Dh"]:
            y = Dense(sizes.hidden_size, name=name)(normed)
            return y.reshape(*x.shape[:2], sizes.num_heads, sizes.head_dim)

        keys, values = split("key"), split("value")
        attended = attend(
            split("query"),
            keys,
            values,
            mask,
            prefix,
            learned=learned_prefix(self, keys),
            implementation=sizes.attention,
        )
        output = Dense(sizes.hidden_size, name="output")(attended)
        return Bottleneck(name="adapter")(output, normed), (keys, values)


class GPT2MLP(nn.Module):
    """A norm, then two linear layers with an approximate GELU between them."""

    config: GPT2Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Return the update of each vector of `[B, T, D]`."""
        normed = LayerNorm(self.config.norm_epsilon, name="norm")(x)
        inner = tanh_gelu(Dense(self.config.mlp_size, name="up")(normed))
        output = Dense(self.config.hidden_size, name="down")(inner)
        return Bottleneck(name="adapter")(output, normed)


class GPT2Layer(nn.Module):
    """One layer of the decoder."""

    config: GPT2Config

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Bool[Array, "B T S"],
        prefix: PrefixPair | None,
        dropout: Dropout,
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Add the updates of attention and of the multilayer perceptron."""
        update, key_values = GPT2Attention(self.config, name="attention")(x, mask, prefix)
        x += dropout(update, _AFTER_ATTENTION)
        return x + dropout(GPT2MLP(self.config, name="mlp")(x), _AFTER_MLP), key_values


class GPT2Embeddings(nn.Module):
    """The sum of word and position embeddings."""

    config: GPT2Config
    dtype: jnp.dtype

    def setup(self):
        """Create the submodules."""
        width = self.config.hidden_size
        self.word = Embedding(self.config.vocab_size, width, self.dtype)
        self.position = Embedding(self.config.max_length, width, self.dtype)

    def __call__(
        self, input_ids: Int[Array, "B T"], position_ids: Int[Array, "B S"], dropout: Dropout
    ) -> Float[Array, "B S D"]:
        """Embed tokens `[B, T]`; extra positions belong to a soft prompt before them."""
        x = self.word(input_ids, position_ids.shape[1])
        return dropout(x + self.position(position_ids), 0)


class GPT2(Decoder):
    """The decoder."""

    config: GPT2Config
    layer_type = GPT2Layer

    def setup(self):
        """Create the submodules."""
        self.embeddings = GPT2Embeddings(self.config, self.dtype)
        self.final_norm = LayerNorm(self.config.norm_epsilon)
        if not self.config.tied:
            self.unembedding = Unembedding(self.config.vocab_size)

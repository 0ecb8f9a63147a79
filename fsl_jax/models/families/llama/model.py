"""The module of Llama decoders (https://arxiv.org/abs/2302.13971) and of similar decoders.

Only their configs differ. A part that a config does not need is not traced and costs nothing.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fsl_jax.models.attention.attention import attend
from fsl_jax.models.attention.causal import Pair, PrefixPair
from fsl_jax.models.attention.rotary import rotate
from fsl_jax.models.attention.softmax_attention import soft_cap
from fsl_jax.models.blocks.decoder import Decoder
from fsl_jax.models.blocks.functions import gated_silu, tanh_gelu
from fsl_jax.models.blocks.layers import (
    Bottleneck,
    Dense,
    Dropout,
    Embedding,
    RMSNorm,
    Unembedding,
    learned_prefix,
)
from fsl_jax.models.blocks.transformer import Mask
from fsl_jax.models.families.llama.attention_inputs import (
    LlamaAttentionInputs,
    View,
    llama_attention_inputs,
)
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.outputs import KeyValues

__all__ = ["Llama", "LlamaConfig"]

# The numbers that dropout folds into its key, one for each use in a layer.
_AFTER_ATTENTION, _AFTER_MLP = 0, 1


def _norm(config: LlamaConfig, name: str | None = None) -> RMSNorm:
    return RMSNorm(config.norm_epsilon, config.norm_offset, name=name)


def _dense(config: LlamaConfig, features: int, name: str) -> Dense:
    return Dense(features, use_bias=name in config.biases, name=name)


class LlamaAttention(nn.Module):
    """A norm, then self-attention over these tokens and those of the prefix."""

    config: LlamaConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], view: View, prefix: PrefixPair | None
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Return the update of `x`, and the keys and values of its tokens."""
        sizes = self.config
        normed = _norm(sizes, "norm")(x)

        def split(name: str, heads: int) -> Float[Array, "B T H Dh"]:
            y = _dense(sizes, heads * sizes.head_dim, name)(normed)
            if sizes.query_key_norm and name != "value":
                by_head = y.reshape(len(x), -1, sizes.head_dim)
                y = _norm(sizes, f"{name}_norm")(by_head)
            return y.reshape(*x.shape[:2], heads, sizes.head_dim)

        query = rotate(split("query", sizes.num_heads), view.tables)
        keys = rotate(split("key", sizes.num_kv_heads), view.tables)
        values = split("value", sizes.num_kv_heads)
        attended = attend(
            query,
            keys,
            values,
            view.mask,
            prefix,
            learned=learned_prefix(self, keys, view.prefix_from),
            scale=sizes.query_scale,
            cap=sizes.score_cap,
            implementation=sizes.attention,
        )
        output = _dense(sizes, sizes.hidden_size, "output")(attended)
        output = Bottleneck(name="adapter")(output, normed)
        if sizes.post_norms:
            output = _norm(sizes, "post_norm")(output)
        return output, (keys, values)


class LlamaMLP(nn.Module):
    """A norm, then a gated multilayer perceptron (https://arxiv.org/abs/2002.05202)."""

    config: LlamaConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Return the update of each vector of `[B, T, D]`."""
        sizes = self.config
        normed = _norm(sizes, "norm")(x)
        gate = _dense(sizes, sizes.mlp_size, "gate")(normed)
        up = _dense(sizes, sizes.mlp_size, "up")(normed)
        gated = gated_silu(gate, up) if sizes.activation == "silu" else tanh_gelu(gate) * up
        output = _dense(sizes, sizes.hidden_size, "down")(gated)
        output = Bottleneck(name="adapter")(output, normed)
        return _norm(sizes, "post_norm")(output) if sizes.post_norms else output


class LlamaLayer(nn.Module):
    """One layer of the decoder."""

    config: LlamaConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], view: View, prefix: PrefixPair | None, dropout: Dropout
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Add the updates of attention and of the multilayer perceptron."""
        update, key_values = LlamaAttention(self.config, name="attention")(x, view, prefix)
        x += dropout(update, _AFTER_ATTENTION)
        return x + dropout(LlamaMLP(self.config, name="mlp")(x), _AFTER_MLP), key_values


class LlamaEmbeddings(nn.Module):
    """The word embedding; the rotary embedding adds positions in each layer."""

    config: LlamaConfig
    dtype: jnp.dtype

    def setup(self):
        """Create the submodules."""
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, self.dtype)

    def __call__(
        self, input_ids: Int[Array, "B T"], position_ids: Int[Array, "B S"], dropout: Dropout
    ) -> Float[Array, "B S D"]:
        """Embed tokens `[B, T]`; extra positions belong to a soft prompt before them."""
        x = self.word(input_ids, position_ids.shape[1])
        scale = self.config.embedding_scale
        return x if scale == 1 else x * jnp.asarray(scale, x.dtype)


class Llama(Decoder):
    """The decoder."""

    config: LlamaConfig
    layer_type = LlamaLayer
    drops_embeddings = False

    def setup(self):
        """Create the submodules."""
        self.embeddings = LlamaEmbeddings(self.config, self.dtype)
        self.final_norm = _norm(self.config)
        if not self.config.tied:
            self.unembedding = Unembedding(self.config.vocab_size)

    def attention_inputs(
        self,
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> LlamaAttentionInputs:
        """Let each token see itself and the tokens before it that are within the layer's window."""
        before = self.prefix_count()
        return llama_attention_inputs(self.config, attention_mask, position_ids, prefix, before)

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Return the logits of all tokens or of some. See `Pretrained.unembed`."""
        return soft_cap(super().unembed(hidden, token_ids), self.config.logit_cap)

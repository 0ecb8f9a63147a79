"""Llama decoders (https://arxiv.org/abs/2302.13971) and those built alike: the module.

What differs between them is in the config alone; what a config does not ask for is not traced and
costs nothing.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention import attend
from fsl_jax.models.causal import Pair, PrefixPair, StackedPair
from fsl_jax.models.functions import gated_silu, tanh_gelu
from fsl_jax.models.layers import NO_DROPOUT, Dense, Dropout, Embedding, RMSNorm, Unembedding
from fsl_jax.models.llama_config import LlamaConfig
from fsl_jax.models.llama_context import LlamaContext, View, llama_context
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params
from fsl_jax.models.rotary import rotate
from fsl_jax.models.softmax_attention import soft_cap
from fsl_jax.models.stack import depth, initialise_stack, run_stack

__all__ = ["Llama", "LlamaConfig"]

_AFTER_ATTENTION, _AFTER_MLP = 0, 1  # the numbers that dropout folds in, of the places in a layer


def _norm(config: LlamaConfig, name: str | None = None) -> RMSNorm:
    return RMSNorm(config.norm_epsilon, config.norm_offset, name=name)


def _dense(config: LlamaConfig, features: int, name: str) -> Dense:
    return Dense(features, use_bias=name in config.biases, name=name)


class LlamaAttention(nn.Module):
    """The norm, then self-attention over these tokens and those of the prefix."""

    config: LlamaConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], view: View, prefix: PrefixPair | None
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """The update of `x`, and the keys and values of its tokens."""
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
        scale, cap = sizes.query_scale, sizes.score_cap
        attended = attend(query, keys, values, view.mask, prefix, scale=scale, cap=cap)
        output = _dense(sizes, sizes.hidden_size, "output")(attended)
        if sizes.post_norms:
            output = _norm(sizes, "post_norm")(output)
        return output, (keys, values)


class LlamaMLP(nn.Module):
    """The norm, then a gated multilayer perceptron (https://arxiv.org/abs/2002.05202)."""

    config: LlamaConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The update of each vector of `[B, T, D]`."""
        sizes = self.config
        normed = _norm(sizes, "norm")(x)
        gate = _dense(sizes, sizes.mlp_size, "gate")(normed)
        up = _dense(sizes, sizes.mlp_size, "up")(normed)
        gated = gated_silu(gate, up) if sizes.activation == "silu" else tanh_gelu(gate) * up
        output = _dense(sizes, sizes.hidden_size, "down")(gated)
        return _norm(sizes, "post_norm")(output) if sizes.post_norms else output


class LlamaLayer(nn.Module):
    """One layer of the decoder."""

    config: LlamaConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], view: View, prefix: PrefixPair | None, dropout: Dropout
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Adds the updates of attention and of the multilayer perceptron."""
        update, key_values = LlamaAttention(self.config, name="attention")(x, view, prefix)
        x += dropout(update, _AFTER_ATTENTION)
        return x + dropout(LlamaMLP(self.config, name="mlp")(x), _AFTER_MLP), key_values


class LlamaEmbeddings(nn.Module):
    """The word embedding; positions come in through the rotary embedding."""

    config: LlamaConfig
    dtype: jnp.dtype

    def setup(self):
        """Names the parts."""
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, self.dtype)

    def __call__(self, input_ids: Int[Array, "B T"]) -> Float[Array, "B T D"]:
        """Embeds tokens `[B, T]`: `[B, T, D]`."""
        x = self.word(input_ids)
        scale = self.config.embedding_scale
        return x if scale == 1 else x * jnp.asarray(scale, x.dtype)


class Llama(nn.Module):
    """The decoder; its methods are those of `Pretrained`, which documents them."""

    config: LlamaConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Names the parts."""
        self.embeddings = LlamaEmbeddings(self.config, self.dtype)
        self.final_norm = _norm(self.config)
        if not self.config.tied:
            self.unembedding = Unembedding(self.config.vocab_size)

    def __call__(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
        *,
        position_ids: Int[Array, "B T"] | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B T D"] | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """All layers, or those after the trunk. See `Pretrained.apply`."""
        context = llama_context(self.config, attention_mask, position_ids, prefix)
        x, segments = trunk, []
        if x is None:
            x, pairs = self._trunk(input_ids, context, dropout)
            segments.append(pairs)
        if self.has_variable("params", "top_layers"):
            below = depth(self.get_variable("params", "layers"))
            x, pairs = self._run("top_layers", x, context, dropout, first=below)
            segments.append(pairs)
        hidden = self.final_norm(x)
        logits = self.unembed(hidden) if unembed else None
        return ModelOutput(hidden, logits, context.causal.key_values(segments))

    def trunk(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
        *,
        position_ids: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T D"]:
        """Embeddings and `layers`. See `Pretrained.trunk`."""
        context = llama_context(self.config, attention_mask, position_ids, None)
        return self._trunk(input_ids, context, NO_DROPOUT)[0]

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, "n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Logits of all tokens or of some. See `Pretrained.unembed`."""
        output = self.embeddings.word.attend if self.config.tied else self.unembedding
        return soft_cap(output(hidden, token_ids), self.config.logit_cap)

    def _trunk(
        self, input_ids: Int[Array, "B T"], context: LlamaContext, dropout: Dropout
    ) -> tuple[Float[Array, "B T D"], StackedPair]:
        x = self.embeddings(input_ids)
        if self.is_initializing():
            self._initialise(x, context)
        return self._run("layers", x, context, dropout, first=0)

    def _initialise(self, x: Float[Array, "B T D"], context: LlamaContext) -> None:
        block = LlamaLayer(self.config, parent=None)
        inputs = (x, context.views[0], None, NO_DROPOUT)
        stack = initialise_stack(self.make_rng("params"), block, self.config.num_layers, *inputs)
        self.put_variable("params", "layers", stack)

    def _run(
        self,
        name: str,
        x: Float[Array, "B T D"],
        context: LlamaContext,
        dropout: Dropout,
        first: int,
    ) -> tuple[Float[Array, "B T D"], StackedPair]:
        block = LlamaLayer(self.config, parent=None)
        stack: Params = self.get_variable("params", name)

        def layer(params, x, number, inputs):
            prefix, sliding = inputs
            view = context.view(sliding)
            return block.apply({"params": params}, x, view, prefix, dropout.within(number))

        return run_stack(layer, stack, x, first, context.inputs(first, depth(stack)))

"""Llama decoders (https://arxiv.org/abs/2302.13971): config, module and checkpoint names."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention import (
    attend,
    causal_mask,
    require_positions,
    rotary_tables,
    rotate,
    token_positions,
)
from fsl_jax.models.functions import gated_silu
from fsl_jax.models.layers import NO_DROPOUT, Dense, Dropout, Embedding, RMSNorm, Unembedding
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params
from fsl_jax.models.stack import depth, initialise_stack, run_stack

_AFTER_ATTENTION, _AFTER_MLP = 0, 1  # the numbers that dropout folds in, of the places in a layer

Pair = tuple[Float[Array, "B T H_kv Dh"], Float[Array, "B T H_kv Dh"]]
PrefixPair = tuple[Float[Array, "P_B P H_kv Dh"], Float[Array, "P_B P H_kv Dh"]]
StackedPair = tuple[Float[Array, "_ B T H_kv Dh"], Float[Array, "_ B T H_kv Dh"]]
Tables = tuple[Float[Array, "B T half"], Float[Array, "B T half"]]


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a Llama decoder.

    Attributes:
      vocab_size: rows of the word embedding, `V`.
      hidden_size: model width, `D`.
      mlp_size: width of the gate in the multilayer perceptron.
      num_layers: layers, `L`.
      num_heads: attention heads, `H`.
      num_kv_heads: heads of keys and values, `H_kv`; each serves `H / H_kv` attention heads.
      head_dim: width of a head, `Dh`.
      max_length: the longest sequence that the model was trained for.
      rope_theta: base of the rotary embedding's frequencies.
      norm_epsilon: added to the mean square in normalisation.
      tied: whether the output embedding is the input embedding.
    """

    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_length: int
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-6
    tied: bool = True
    family: ClassVar[str] = "llama"
    is_decoder: ClassVar[bool] = True

    def __post_init__(self):
        if self.num_heads % self.num_kv_heads:
            raise InputError(
                f"{self.num_kv_heads} heads of keys and values cannot serve {self.num_heads} "
                "heads equally; the checkpoint's config is wrong."
            )


class LlamaAttention(nn.Module):
    """The norm, then self-attention over these tokens and those of the prefix."""

    config: LlamaConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T D"],
        tables: Tables,
        mask: Bool[Array, "B T S"],
        prefix: PrefixPair | None,
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """The update of `x`, and the keys and values of its tokens."""
        sizes = self.config
        normed = RMSNorm(sizes.norm_epsilon, name="norm")(x)

        def split(name: str, heads: int) -> Float[Array, "B T H Dh"]:
            y = Dense(heads * sizes.head_dim, use_bias=False, name=name)(normed)
            return y.reshape(*x.shape[:2], heads, sizes.head_dim)

        query = rotate(split("query", sizes.num_heads), tables)
        keys = rotate(split("key", sizes.num_kv_heads), tables)
        values = split("value", sizes.num_kv_heads)
        attended = attend(query, keys, values, mask, prefix)
        output = Dense(sizes.hidden_size, use_bias=False, name="output")(attended)
        return output, (keys, values)


class LlamaMLP(nn.Module):
    """The norm, then a gated multilayer perceptron (https://arxiv.org/abs/2002.05202)."""

    config: LlamaConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The update of each vector of `[B, T, D]`."""
        normed = RMSNorm(self.config.norm_epsilon, name="norm")(x)
        gate = Dense(self.config.mlp_size, use_bias=False, name="gate")(normed)
        up = Dense(self.config.mlp_size, use_bias=False, name="up")(normed)
        return Dense(self.config.hidden_size, use_bias=False, name="down")(gated_silu(gate, up))


class LlamaLayer(nn.Module):
    """One layer of the decoder."""

    config: LlamaConfig

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T D"],
        tables: Tables,
        mask: Bool[Array, "B T S"],
        prefix: PrefixPair | None,
        dropout: Dropout,
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """Adds the updates of attention and of the multilayer perceptron."""
        update, key_values = LlamaAttention(self.config, name="attention")(x, tables, mask, prefix)
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
        return self.word(input_ids)


@dataclasses.dataclass(frozen=True)
class Context:
    """What every layer needs beside the activations.

    Attributes:
      tables: cosines and sines of the tokens' positions, `[B, T, Dh / 2]` each.
      mask: `[B, T, P + T]`, True where a token sees another.
      real: `[B, T]`, True where a token is real.
      prefix: keys and values of the `P` tokens before these.
    """

    tables: Tables
    mask: Bool[Array, "B T S"]
    real: Bool[Array, "B T"]
    prefix: KeyValues | None

    def prefix_of(self, first: int, layers: int) -> tuple[Array, Array] | None:
        """The prefix's keys and values in a segment of the layers."""
        if self.prefix is None:
            return None
        segment = slice(first, first + layers)
        return self.prefix.keys[segment], self.prefix.values[segment]

    def key_values(self, segments: list[StackedPair]) -> KeyValues | None:
        """Joins the keys and values that the segments gave."""
        if not segments:
            return None
        keys, values = (
            each[0] if len(each) == 1 else jnp.concatenate(each)
            for each in zip(*segments, strict=True)
        )
        return KeyValues(keys, values, self.real)


def context_of(
    config: LlamaConfig,
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
    position_ids: Int[Array, "B T"] | None,
    prefix: KeyValues | None,
) -> Context:
    """Works out masks and positions from the arguments of `Pretrained.apply`."""
    if position_ids is None:
        require_positions(attention_mask)
        position_ids = token_positions(attention_mask)
        if prefix is not None:
            position_ids += jnp.sum(prefix.mask, axis=1, dtype=jnp.int32)[:, None]
    tables = rotary_tables(position_ids, config.head_dim, config.rope_theta)
    if attention_mask.ndim == 3:
        length = attention_mask.shape[1]
        real = jnp.any(attention_mask[:, :, -length:], axis=1)
        return Context(tables, attention_mask, real, prefix)
    mask = causal_mask(attention_mask)
    if prefix is not None:
        seen = jnp.broadcast_to(prefix.mask[:, None, :], (*mask.shape[:2], prefix.mask.shape[1]))
        mask = jnp.concatenate([seen, mask], axis=-1)
    return Context(tables, mask, attention_mask, prefix)


class Llama(nn.Module):
    """The decoder; its methods are those of `Pretrained`, which documents them."""

    config: LlamaConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Names the parts."""
        self.embeddings = LlamaEmbeddings(self.config, self.dtype)
        self.final_norm = RMSNorm(self.config.norm_epsilon)
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
        context = context_of(self.config, attention_mask, position_ids, prefix)
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
        return ModelOutput(hidden, logits, context.key_values(segments))

    def trunk(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
        *,
        position_ids: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T D"]:
        """Embeddings and `layers`. See `Pretrained.trunk`."""
        context = context_of(self.config, attention_mask, position_ids, None)
        return self._trunk(input_ids, context, NO_DROPOUT)[0]

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, "n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Logits of all tokens or of some. See `Pretrained.unembed`."""
        if self.config.tied:
            return self.embeddings.word.attend(hidden, token_ids)
        return self.unembedding(hidden, token_ids)

    def _trunk(
        self, input_ids: Int[Array, "B T"], context: Context, dropout: Dropout
    ) -> tuple[Float[Array, "B T D"], StackedPair]:
        x = self.embeddings(input_ids)
        if self.is_initializing():
            self._initialise(x, context)
        return self._run("layers", x, context, dropout, first=0)

    def _initialise(self, x: Float[Array, "B T D"], context: Context) -> None:
        block = LlamaLayer(self.config, parent=None)
        inputs = (x, context.tables, context.mask, None, NO_DROPOUT)
        stack = initialise_stack(self.make_rng("params"), block, self.config.num_layers, *inputs)
        self.put_variable("params", "layers", stack)

    def _run(
        self, name: str, x: Float[Array, "B T D"], context: Context, dropout: Dropout, first: int
    ) -> tuple[Float[Array, "B T D"], StackedPair]:
        block = LlamaLayer(self.config, parent=None)
        stack: Params = self.get_variable("params", name)

        def layer(params, x, number, prefix):
            inputs = (x, context.tables, context.mask, prefix, dropout.within(number))
            return block.apply({"params": params}, *inputs)

        return run_stack(layer, stack, x, first, context.prefix_of(first, depth(stack)))

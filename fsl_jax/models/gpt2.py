"""GPT-2 decoders (Radford et al., 2019, "Language models are unsupervised multitask learners")."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention import attend
from fsl_jax.models.causal import CausalContext, Pair, PrefixPair, StackedPair, causal_context
from fsl_jax.models.functions import tanh_gelu
from fsl_jax.models.layers import NO_DROPOUT, Dense, Dropout, Embedding, LayerNorm, Unembedding
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params
from fsl_jax.models.stack import depth, initialise_stack, run_stack

_EMBEDDINGS = 0  # the numbers that dropout folds in: of the embeddings, layers coming after them,
_AFTER_ATTENTION, _AFTER_MLP = 0, 1  # and of the places in a layer

Mask = Bool[Array, "B T"] | Bool[Array, "B T S"]


@dataclasses.dataclass(frozen=True)
class GPT2Config:
    """The sizes of a GPT-2 decoder.

    Attributes:
      vocab_size: rows of the word embedding, `V`.
      hidden_size: model width, `D`.
      mlp_size: width between the two matrices of the multilayer perceptron.
      num_layers: layers, `L`.
      num_heads: attention heads, `H`.
      max_length: rows of the position embedding, the longest sequence.
      norm_epsilon: added to the variance in layer normalisation.
      tied: whether the output embedding is the input embedding.
    """

    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_heads: int
    max_length: int
    norm_epsilon: float = 1e-5
    tied: bool = True
    family: ClassVar[str] = "gpt2"
    is_decoder: ClassVar[bool] = True
    is_encoder_decoder: ClassVar[bool] = False

    def __post_init__(self):
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"{self.num_heads} heads do not divide a width of {self.hidden_size}; the "
                "checkpoint's config is wrong."
            )

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values: every attention head has its own."""
        return self.num_heads

    @property
    def head_dim(self) -> int:
        """Width of a head, `Dh`."""
        return self.hidden_size // self.num_heads


class GPT2Attention(nn.Module):
    """The norm, then self-attention over these tokens and those of the prefix."""

    config: GPT2Config

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B T S"], prefix: PrefixPair | None
    ) -> tuple[Float[Array, "B T D"], Pair]:
        """The update of `x`, and the keys and values of its tokens."""
        sizes = self.config
        normed = LayerNorm(sizes.norm_epsilon, name="norm")(x)

        def split(name: str) -> Float[Array, "B T H Dh"]:
            y = Dense(sizes.hidden_size, name=name)(normed)
            return y.reshape(*x.shape[:2], sizes.num_heads, sizes.head_dim)

        keys, values = split("key"), split("value")
        attended = attend(split("query"), keys, values, mask, prefix)
        return Dense(sizes.hidden_size, name="output")(attended), (keys, values)


class GPT2MLP(nn.Module):
    """The norm, then two linear maps with an approximate GELU between them."""

    config: GPT2Config

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The update of each vector of `[B, T, D]`."""
        normed = LayerNorm(self.config.norm_epsilon, name="norm")(x)
        inner = tanh_gelu(Dense(self.config.mlp_size, name="up")(normed))
        return Dense(self.config.hidden_size, name="down")(inner)


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
        """Adds the updates of attention and of the multilayer perceptron."""
        update, key_values = GPT2Attention(self.config, name="attention")(x, mask, prefix)
        x += dropout(update, _AFTER_ATTENTION)
        return x + dropout(GPT2MLP(self.config, name="mlp")(x), _AFTER_MLP), key_values


class GPT2Embeddings(nn.Module):
    """The sum of word and position embeddings."""

    config: GPT2Config
    dtype: jnp.dtype

    def setup(self):
        """Names the parts."""
        width = self.config.hidden_size
        self.word = Embedding(self.config.vocab_size, width, self.dtype)
        self.position = Embedding(self.config.max_length, width, self.dtype)

    def __call__(
        self, input_ids: Int[Array, "B T"], position_ids: Int[Array, "B T"], dropout: Dropout
    ) -> Float[Array, "B T D"]:
        """Embeds tokens `[B, T]`: `[B, T, D]`."""
        return dropout(self.word(input_ids) + self.position(position_ids), 0)


class GPT2(nn.Module):
    """The decoder; its methods are those of `Pretrained`, which documents them."""

    config: GPT2Config
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Names the parts."""
        self.embeddings = GPT2Embeddings(self.config, self.dtype)
        self.final_norm = LayerNorm(self.config.norm_epsilon)
        if not self.config.tied:
            self.unembedding = Unembedding(self.config.vocab_size)

    def __call__(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B T D"] | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """All layers, or those after the trunk. See `Pretrained.apply`."""
        context = causal_context(attention_mask, position_ids, prefix)
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
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T D"]:
        """Embeddings and `layers`. See `Pretrained.trunk`."""
        context = causal_context(attention_mask, position_ids, None)
        return self._trunk(input_ids, context, NO_DROPOUT)[0]

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, "n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Logits of all tokens or of some. See `Pretrained.unembed`."""
        if self.config.tied:
            return self.embeddings.word.attend(hidden, token_ids)
        return self.unembedding(hidden, token_ids)

    def _trunk(
        self, input_ids: Int[Array, "B T"], context: CausalContext, dropout: Dropout
    ) -> tuple[Float[Array, "B T D"], StackedPair]:
        x = self.embeddings(input_ids, context.positions, dropout.within(_EMBEDDINGS))
        if self.is_initializing():
            self._initialise(x, context)
        return self._run("layers", x, context, dropout, first=0)

    def _initialise(self, x: Float[Array, "B T D"], context: CausalContext) -> None:
        block = GPT2Layer(self.config, parent=None)
        inputs = (x, context.mask, None, NO_DROPOUT)
        stack = initialise_stack(self.make_rng("params"), block, self.config.num_layers, *inputs)
        self.put_variable("params", "layers", stack)

    def _run(
        self,
        name: str,
        x: Float[Array, "B T D"],
        context: CausalContext,
        dropout: Dropout,
        first: int,
    ) -> tuple[Float[Array, "B T D"], StackedPair]:
        block = GPT2Layer(self.config, parent=None)
        stack: Params = self.get_variable("params", name)

        def layer(params, x, number, prefix):
            place = dropout.within(number + jnp.uint32(_EMBEDDINGS + 1))
            return block.apply({"params": params}, x, context.mask, prefix, place)

        return run_stack(layer, stack, x, first, context.prefix_of(first, depth(stack)))

"""BERT encoders and those built alike: config and module.

BERT: https://arxiv.org/abs/1810.04805, RoBERTa: https://arxiv.org/abs/1907.11692, XLM-RoBERTa:
https://arxiv.org/abs/1911.02116, DistilBERT: https://arxiv.org/abs/1910.01108.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention import attend, require_positions, token_positions
from fsl_jax.models.functions import gelu
from fsl_jax.models.layers import NO_DROPOUT, Dense, Dropout, Embedding, LayerNorm
from fsl_jax.models.outputs import KeyValues, ModelOutput
from fsl_jax.models.stack import depth, initialise_stack, run_stack

_EMBEDDINGS = 0  # the numbers that dropout folds in: of the embeddings, layers coming after them,
_AFTER_ATTENTION, _AFTER_MLP = 0, 1  # and of the places in a layer

Mask = Bool[Array, "B T"] | Bool[Array, "B T S"]


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT encoder.

    Attributes:
      vocab_size: rows of the word embedding, `V`.
      hidden_size: model width, `D`.
      mlp_size: width between the two matrices of the multilayer perceptron.
      num_layers: layers, `L`.
      num_heads: attention heads, `H`.
      max_length: the longest sequence.
      num_token_types: rows of the token type embedding, 0 where there is none (DistilBERT); row 0
        is used for every token.
      norm_epsilon: added to the variance in layer normalisation.
      has_pooler: whether the checkpoint has a pooler, whose leaves are then in the tree.
      first_position: the row of the position embedding that is position 0's; RoBERTa leaves those
        up to its padding token's number unused.
      family: as `model_type` of `config.json`.
    """

    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_heads: int
    max_length: int
    num_token_types: int = 2
    norm_epsilon: float = 1e-12
    has_pooler: bool = False
    first_position: int = 0
    family: str = "bert"
    is_decoder: ClassVar[bool] = False
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


class BertEmbeddings(nn.Module):
    """The sum of word, position and token type embeddings, normalised."""

    config: BertConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, input_ids: Int[Array, "B T"], position_ids: Int[Array, "B T"], dropout: Dropout
    ) -> Float[Array, "B T D"]:
        """Embeds tokens `[B, T]`: `[B, T, D]`."""
        sizes = self.config

        def lookup(name: str, size: int, ids: Int[Array, "B T"]) -> Float[Array, "B T D"]:
            return Embedding(size, sizes.hidden_size, self.dtype, name=name)(ids)

        x = lookup("word", sizes.vocab_size, input_ids)
        if sizes.num_token_types:
            x += lookup("token_type", sizes.num_token_types, jnp.zeros_like(input_ids))
        rows = sizes.first_position + sizes.max_length
        x += lookup("position", rows, position_ids + sizes.first_position)
        return dropout(LayerNorm(sizes.norm_epsilon, name="norm")(x), 0)


class BertAttention(nn.Module):
    """Self-attention, then the residual connection and its norm."""

    config: BertConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B Q T"], dropout: Dropout
    ) -> Float[Array, "B T D"]:
        """Lets `x` attend to itself where the mask `[B, T or 1, T]` is True."""
        width, heads = self.config.hidden_size, self.config.num_heads

        def split(name: str) -> Float[Array, "B T H Dh"]:
            return Dense(width, name=name)(x).reshape(*x.shape[:2], heads, self.config.head_dim)

        attended = attend(split("query"), split("key"), split("value"), mask)
        update = dropout(Dense(width, name="output")(attended), _AFTER_ATTENTION)
        return LayerNorm(self.config.norm_epsilon, name="norm")(x + update)


class BertMLP(nn.Module):
    """Two linear maps with an exact GELU between them, then the residual connection's norm."""

    config: BertConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], dropout: Dropout) -> Float[Array, "B T D"]:
        """Maps each vector of `[B, T, D]`."""
        inner = gelu(Dense(self.config.mlp_size, name="up")(x))
        update = dropout(Dense(self.config.hidden_size, name="down")(inner), _AFTER_MLP)
        return LayerNorm(self.config.norm_epsilon, name="norm")(x + update)


class BertLayer(nn.Module):
    """One layer of the encoder."""

    config: BertConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B Q T"], dropout: Dropout
    ) -> Float[Array, "B T D"]:
        """Attention, then the multilayer perceptron."""
        x = BertAttention(self.config, name="attention")(x, mask, dropout)
        return BertMLP(self.config, name="mlp")(x, dropout)


class Bert(nn.Module):
    """The encoder; its methods are those of `Pretrained`, which documents them."""

    config: BertConfig
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Names the parts."""
        self.embeddings = BertEmbeddings(self.config, self.dtype)
        self.pooler = Dense(self.config.hidden_size)

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
        if prefix is not None:
            raise InputError("an encoder takes no prefix: its tokens see each other both ways.")
        x = trunk
        if x is None:
            x = self._trunk(input_ids, attention_mask, position_ids, dropout)
        if self.has_variable("params", "top_layers"):
            below = depth(self.get_variable("params", "layers"))
            x = self._run("top_layers", x, attention_mask, dropout, first=below)
        return ModelOutput(hidden=x)

    def trunk(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B T D"]:
        """Embeddings and `layers`. See `Pretrained.trunk`."""
        return self._trunk(input_ids, attention_mask, position_ids, NO_DROPOUT)

    def _trunk(
        self,
        input_ids: Int[Array, "B T"],
        mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        dropout: Dropout,
    ) -> Float[Array, "B T D"]:
        if position_ids is None:
            require_positions(mask)
            position_ids = token_positions(mask)
        x = self.embeddings(input_ids, position_ids, dropout.within(_EMBEDDINGS))
        if self.is_initializing():
            self._initialise(x, mask)
        return self._run("layers", x, mask, dropout, first=0)

    def _initialise(self, x: Float[Array, "B T D"], mask: Bool[Array, "B T"]) -> None:
        block = BertLayer(self.config, parent=None)
        inputs = (x, mask[:, None, :], NO_DROPOUT)
        stack = initialise_stack(self.make_rng("params"), block, self.config.num_layers, *inputs)
        self.put_variable("params", "layers", stack)
        if self.config.has_pooler:
            self.pooler(x)

    def _run(
        self, name: str, x: Float[Array, "B T D"], mask: Mask, dropout: Dropout, first: int
    ) -> Float[Array, "B T D"]:
        block = BertLayer(self.config, parent=None)
        seen = mask if mask.ndim == 3 else mask[:, None, :]

        def layer(params, x, number, inputs):
            place = dropout.within(number + jnp.uint32(_EMBEDDINGS + 1))
            return block.apply({"params": params}, x, seen, place), None

        return run_stack(layer, self.get_variable("params", name), x, first)[0]

"""Encoders that are built like BERT: the config and the module.

BERT: https://arxiv.org/abs/1810.04805, RoBERTa: https://arxiv.org/abs/1907.11692, XLM-RoBERTa:
https://arxiv.org/abs/1911.02116, DistilBERT: https://arxiv.org/abs/1910.01108.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import attend, require_positions, token_positions
from fsl_jax.models.blocks.functions import gelu
from fsl_jax.models.blocks.layers import (
    Bottleneck,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    learned_prefix,
)
from fsl_jax.models.blocks.multi_head_config import MultiHeadConfig
from fsl_jax.models.blocks.transformer import Mask, Transformer
from fsl_jax.models.outputs import KeyValues, ModelOutput

# The numbers that dropout folds into its key, one for each use in a layer.
_AFTER_ATTENTION, _AFTER_MLP = 0, 1


@dataclasses.dataclass(frozen=True)
class BertConfig(MultiHeadConfig):
    """The sizes of a BERT encoder.

    Attributes besides those of `MultiHeadConfig`:
      num_token_types: rows of the token type embedding, 0 if there is none (DistilBERT). Every
        token has type 0.
      norm_epsilon: a small number that norms add to the variance.
      has_pooler: True if the checkpoint has a pooler; its leaves are then in the tree.
      first_position: the row of the position embedding for position 0. RoBERTa does not use the
        rows up to and including its padding token's id.
      tied: True if the output embedding of a head for masked language modelling is the word
        embedding.
      family: the family's name, as in `model_type` of `config.json`.
    """

    num_token_types: int = 2
    norm_epsilon: float = 1e-12
    has_pooler: bool = False
    first_position: int = 0
    tied: bool = True
    family: str = "bert"
    is_decoder: ClassVar[bool] = False
    is_encoder_decoder: ClassVar[bool] = False


class BertEmbeddings(nn.Module):
    """The sum of word, position and token type embeddings, normalised."""

    config: BertConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, input_ids: Int[Array, "B T"], position_ids: Int[Array, "B S"], dropout: Dropout
    ) -> Float[Array, "B S D"]:
        """Embed tokens `[B, T]`; extra positions belong to a soft prompt before them."""
        sizes = self.config

        def lookup(name: str, size: int, ids: Int[Array, "B _"]) -> Float[Array, "B S D"]:
            table = Embedding(size, sizes.hidden_size, self.dtype, name=name)
            return table(ids, position_ids.shape[1])

        x = lookup("word", sizes.vocab_size, input_ids)
        if sizes.num_token_types:
            x += lookup("token_type", sizes.num_token_types, jnp.zeros_like(position_ids))
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
        """Let each token attend to the tokens where the mask `[B, T or 1, T]` is True."""
        width, heads = self.config.hidden_size, self.config.num_heads

        def split(name: str) -> Float[Array, "B T H Dh"]:
            return Dense(width, name=name)(x).reshape(*x.shape[:2], heads, self.config.head_dim)

        keys = split("key")
        attended = attend(
            split("query"),
            keys,
            split("value"),
            mask,
            learned=learned_prefix(self, keys),
            implementation=self.config.attention,
        )
        output = Bottleneck(name="adapter")(Dense(width, name="output")(attended), x)
        update = dropout(output, _AFTER_ATTENTION)
        return LayerNorm(self.config.norm_epsilon, name="norm")(x + update)


class BertMLP(nn.Module):
    """Two linear layers with an exact GELU between them, then the residual connection and norm."""

    config: BertConfig

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], dropout: Dropout) -> Float[Array, "B T D"]:
        """Map each vector of `[B, T, D]`."""
        inner = gelu(Dense(self.config.mlp_size, name="up")(x))
        output = Dense(self.config.hidden_size, name="down")(inner)
        update = dropout(Bottleneck(name="adapter")(output, x), _AFTER_MLP)
        return LayerNorm(self.config.norm_epsilon, name="norm")(x + update)


class BertLayer(nn.Module):
    """One layer of the encoder."""

    config: BertConfig

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Bool[Array, "B Q T"], dropout: Dropout
    ) -> tuple[Float[Array, "B T D"], None]:
        """Apply attention, then the multilayer perceptron."""
        x = BertAttention(self.config, name="attention")(x, mask, dropout)
        return BertMLP(self.config, name="mlp")(x, dropout), None


@dataclasses.dataclass(frozen=True)
class BertAttentionInputs:
    """The inputs of attention in all layers.

    Attributes:
      positions: positions of the tokens, `[B, T]`.
      mask: `[B, T or 1, T]`, True where a token sees another.
    """

    positions: Int[Array, "B T"]
    mask: Bool[Array, "B Q T"]

    def per_layer(self, first: int, layers: int) -> None:
        """Return None, since all layers have the same inputs."""

    def arguments(self, inputs: None) -> tuple[Bool[Array, "B Q T"]]:
        """Return the arguments of a layer."""
        return (self.mask,)


class Bert(Transformer):
    """The encoder."""

    config: BertConfig
    layer_type = BertLayer

    def setup(self):
        """Create the submodules."""
        self.embeddings = BertEmbeddings(self.config, self.dtype)
        self.pooler = Dense(self.config.hidden_size)

    def text_positions(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        segment_ids: Int[Array, "B T"] | None,
    ) -> Int[Array, "B T"] | None:
        """Pass over padding tokens inside a text, as RoBERTa does, which counts by the token.

        They have the row of the position embedding before that of the first position.
        """
        padding = self.config.first_position - 1
        if position_ids is not None or padding < 0 or attention_mask.ndim != 2:
            return position_ids
        # With a soft prompt Hugging Face's model sees no tokens, so it counts them all.
        if self._prompt_length():
            return None
        counted = attention_mask & (input_ids != padding)
        return jnp.where(input_ids == padding, -1, token_positions(counted, segment_ids))

    def attention_inputs(
        self,
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> BertAttentionInputs:
        """Let tokens see each other in both directions."""
        if prefix is not None:
            raise InputError("an encoder takes no prefix: its tokens see each other both ways.")
        if position_ids is None:
            require_positions(attention_mask)
            position_ids = token_positions(attention_mask)
        pairs = attention_mask if attention_mask.ndim == 3 else attention_mask[:, None, :]
        return BertAttentionInputs(position_ids, pairs)

    def output(
        self,
        x: Float[Array, "B T D"],
        attention_inputs: BertAttentionInputs,
        section_outputs: list[None],
        unembed: bool,
    ) -> ModelOutput:
        """Return the last activations as the hidden states."""
        if self.is_initializing() and self.config.has_pooler:
            self.pooler(x)
        return ModelOutput(hidden=x)

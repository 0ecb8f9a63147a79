"""Heads that classify texts or tokens.

Their leaves are under `classifier`, and BERT adds its `pooler`.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.models.blocks.layers import NO_DROPOUT, Dense, Dropout

# The numbers that dropout folds into its key, one for each use in a head.
_BEFORE_DENSE, _BEFORE_OUTPUT = range(2)


@dataclasses.dataclass(frozen=True)
class ClassifierStyle:
    """The way in which a family classifies texts.

    Attributes:
      pooling: the name of the hidden state that represents the text, as in `POOLINGS`.
      pooler: True if this hidden state goes through the model's pooler.
      dense: True if it goes through a linear layer of the head.
      activation: the function after that layer or the pooler.
      bias: True if the linear layer to the classes has a bias.
      drops_input: True if dropout is applied before the linear layer of the head.
      drops: True if dropout is applied before the linear layer to the classes.
    """

    pooling: str = "last"
    pooler: bool = False
    dense: bool = False
    activation: Callable[[Array], Array] = jnp.tanh
    bias: bool = False
    drops_input: bool = False
    drops: bool = False


_TOKENS = ClassifierStyle(bias=True, drops=True)


class ClassifierLayers(nn.Module):
    """The linear layer to the classes, after another linear layer if the style has one."""

    labels: int
    style: ClassifierStyle

    @nn.compact
    def __call__(self, x: Float[Array, "*batch D"], dropout: Dropout) -> Float[Array, "*batch C"]:
        """Map `[..., D]` to `[..., C]`."""
        if self.style.dense:
            x = dropout(x, _BEFORE_DENSE) if self.style.drops_input else x
            x = self.style.activation(Dense(x.shape[-1], name="dense")(x))
        x = dropout(x, _BEFORE_OUTPUT) if self.style.drops else x
        return Dense(self.labels, use_bias=self.style.bias, name="output")(x)


class SequenceClassifier(nn.Module):
    """The class of a text, from the hidden state that represents it."""

    labels: int
    style: ClassifierStyle

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch D"], dropout: Dropout = NO_DROPOUT
    ) -> Float[Array, "*batch C"]:
        """Return the logits of texts from pooled hidden states."""
        if self.style.pooler:
            x = self.style.activation(Dense(x.shape[-1], name="pooler")(x))
        return ClassifierLayers(self.labels, self.style, name="classifier")(x, dropout)


class TokenClassifier(nn.Module):
    """The class of each token, from its hidden state."""

    labels: int

    @nn.compact
    def __call__(
        self, hidden: Float[Array, "B T D"], dropout: Dropout = NO_DROPOUT
    ) -> Float[Array, "B T C"]:
        """Return the float32 logits of all tokens."""
        layers = ClassifierLayers(self.labels, _TOKENS, name="classifier")
        return layers(hidden.astype(jnp.float32), dropout)

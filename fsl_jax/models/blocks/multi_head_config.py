"""The sizes of models with plain multi-head attention, which BERT and GPT-2 share."""

import dataclasses

from fsl_jax.errors import InputError
from fsl_jax.models.attention.implementations import AUTO
from fsl_jax.models.attention.self_attention import require_implementation


@dataclasses.dataclass(frozen=True)
class MultiHeadConfig:
    """Sizes of a model in which each attention head has its own keys and values.

    Attributes:
      vocab_size: rows of the word embedding, `V`.
      hidden_size: model width, `D`.
      mlp_size: width between the two matrices of the multilayer perceptron.
      num_layers: layers, `L`.
      num_heads: attention heads, `H`, each of width `D / H`.
      max_length: the longest sequence, in tokens.
      attention: the implementation, as in `fsl_jax.models.attention.self_attention`.
    """

    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_heads: int
    max_length: int
    attention: str = AUTO

    def __post_init__(self):
        require_implementation(self.attention)
        if self.hidden_size % self.num_heads:
            raise InputError(
                f"{self.num_heads} heads do not divide a width of {self.hidden_size}; the "
                "checkpoint's config is wrong."
            )

    @property
    def num_kv_heads(self) -> int:
        """The number of heads of keys and values, equal to the number of attention heads."""
        return self.num_heads

    def layers_of(self, path: str) -> int:
        """Return the number of layers in the stack that the leaf at `path` belongs to."""
        return self.num_layers

    @property
    def head_dim(self) -> int:
        """The width of a head, `Dh`."""
        return self.hidden_size // self.num_heads

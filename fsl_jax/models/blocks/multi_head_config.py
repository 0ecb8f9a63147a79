"""The sizes of models with multi-head attention as it was first described."""

import dataclasses

from fsl_jax.errors import InputError
from fsl_jax.models.attention.self_attention import AUTO, require_implementation


@dataclasses.dataclass(frozen=True)
class MultiHeadConfig:
    """Sizes of a model whose heads share its width, each with keys and values of its own.

    Attributes:
      vocab_size: rows of the word embedding, `V`.
      hidden_size: model width, `D`.
      mlp_size: width between the two matrices of the multilayer perceptron.
      num_layers: layers, `L`.
      num_heads: attention heads, `H`.
      max_length: the longest sequence.
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
        """Heads of keys and values: every attention head has its own."""
        return self.num_heads

    @property
    def head_dim(self) -> int:
        """Width of a head, `Dh`."""
        return self.hidden_size // self.num_heads

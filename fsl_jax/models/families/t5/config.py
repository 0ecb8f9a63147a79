"""The config of T5 models."""

import dataclasses
from typing import ClassVar

from fsl_jax.errors import InputError

FEED_FORWARDS = ("relu", "gated-gelu", "gated-silu")
"""The kinds of multilayer perceptron, as in `feed_forward_proj` of `config.json`."""


@dataclasses.dataclass(frozen=True)
class T5Config:
    """The sizes of a T5 encoder-decoder.

    Attributes:
      vocab_size: rows of the word embedding, `V`, which both stacks share.
      hidden_size: model width, `D`.
      mlp_size: width inside the multilayer perceptron.
      num_layers: number of layers of the encoder.
      num_decoder_layers: number of layers of the decoder.
      num_heads: number of attention heads, `H`.
      head_dim: width of a head, `Dh`.
      max_length: the longest sequence of either stack that the model was trained for.
      feed_forward: one of `FEED_FORWARDS`.
      num_buckets: number of buckets of distances between tokens.
      max_distance: the distance in tokens from which all distances share the last bucket.
      norm_epsilon: a small number that norms add to the mean square.
      tied: True if the output embedding is the input embedding.
      scaled: True if hidden states are divided by the square root of `D` before the output
        embedding, as in T5 1.0, whose output embedding is tied.
      decoder_start_token: the first token of the decoder.
      family: the family's name, as in `model_type` of `config.json`.
    """

    vocab_size: int
    hidden_size: int
    mlp_size: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    head_dim: int
    max_length: int = 512
    feed_forward: str = "relu"
    num_buckets: int = 32
    max_distance: int = 128
    norm_epsilon: float = 1e-6
    tied: bool = True
    scaled: bool = True
    decoder_start_token: int = 0
    family: str = "t5"
    is_decoder: ClassVar[bool] = False
    is_encoder_decoder: ClassVar[bool] = True

    def __post_init__(self):
        if self.num_buckets < 4 or self.max_distance <= self.num_buckets // 2:
            raise InputError(
                f"{self.num_buckets} buckets cannot hold distances up to {self.max_distance}: "
                "there are 4 or more, of which half hold one distance each. The checkpoint's "
                "config is wrong."
            )

    @property
    def num_kv_heads(self) -> int:
        """The number of heads of keys and values: every attention head has its own."""
        return self.num_heads

    def layers_of(self, path: str) -> int:
        """Return the number of layers in the stack that the leaf at `path` belongs to."""
        return self.num_decoder_layers if path.startswith("decoder/") else self.num_layers

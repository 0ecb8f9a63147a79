"""The config of Llama decoders (https://arxiv.org/abs/2302.13971) and of similar decoders."""

import dataclasses
from typing import ClassVar

from fsl_jax.errors import InputError
from fsl_jax.models.attention.implementations import AUTO
from fsl_jax.models.attention.rotary import RotaryScaling
from fsl_jax.models.attention.self_attention import require_implementation


@dataclasses.dataclass(frozen=True)
class LlamaConfig:
    """The sizes of a decoder that is built like Llama, and its differences from a Llama.

    Attributes:
      vocab_size: rows of the word embedding, `V`.
      hidden_size: model width, `D`.
      mlp_size: width of the gate in the multilayer perceptron.
      num_layers: number of layers, `L`.
      num_heads: number of attention heads, `H`.
      num_kv_heads: number of heads of keys and values, `H_kv`; each serves `H / H_kv` attention
        heads.
      head_dim: width of a head, `Dh`.
      max_length: the longest sequence that the model was trained for.
      rope_theta: base of the rotary embedding's frequencies.
      norm_epsilon: a small number that norms add to the mean square.
      tied: True if the output embedding is the input embedding.
      rope_scaling: scaling of the rotary embedding to longer texts.
      local_rope_theta: base, without scaling, in the layers with a sliding window; None for the
        same embedding as in the other layers.
      window: number of positions that a token sees in layers with a sliding window, including its
        own.
      sliding: for each layer, True if it has a sliding window; empty if no layer has one.
      biases: names of the linear layers that have a bias, among query, key, value, output, gate, up
        and down.
      query_key_norm: True if each head of queries and keys is normalised.
      post_norms: True if the updates of attention and multilayer perceptron are normalised.
      norm_offset: number that is added to the scales of all norms.
      activation: activation of the gate, `silu` or `tanh_gelu`.
      embedding_scale: factor of the embedded tokens.
      query_scale: factor of attention's scores; None for `Dh ** -0.5`.
      score_cap: soft limit of attention's scores.
      logit_cap: soft limit of the logits.
      family: the family's name, as in `model_type` of `config.json`.
      attention: implementation, as in `fsl_jax.models.attention.self_attention`.
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
    rope_scaling: RotaryScaling | None = None
    local_rope_theta: float | None = None
    window: int | None = None
    sliding: tuple[bool, ...] = ()
    biases: tuple[str, ...] = ()
    query_key_norm: bool = False
    post_norms: bool = False
    norm_offset: float = 0.0
    activation: str = "silu"
    embedding_scale: float = 1.0
    query_scale: float | None = None
    score_cap: float | None = None
    logit_cap: float | None = None
    family: str = "llama"
    attention: str = AUTO
    is_decoder: ClassVar[bool] = True
    is_encoder_decoder: ClassVar[bool] = False

    def __post_init__(self):
        require_implementation(self.attention)
        if self.num_heads % self.num_kv_heads:
            raise InputError(
                f"{self.num_kv_heads} heads of keys and values cannot serve {self.num_heads} "
                "heads equally; the checkpoint's config is wrong."
            )
        if self.sliding and len(self.sliding) != self.num_layers:
            raise InputError(
                f"there are {self.num_layers} layers, and {len(self.sliding)} are said to have a "
                "sliding window or none; the checkpoint's config is wrong."
            )
        if any(self.sliding) and self.window is None:
            raise InputError(
                "layers have a sliding window of no length; the checkpoint's config is wrong."
            )

    def layers_of(self, path: str) -> int:
        """Return the number of layers in the stack that the leaf at `path` belongs to."""
        return self.num_layers

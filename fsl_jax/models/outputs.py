"""The parameters of a model, and its outputs: hidden states, logits, keys and values."""

from typing import Any

from flax import struct

Params = dict[str, Any]
"""One nested dict of arrays; layers of one kind are stacked on a leading axis `L`."""

# The fields below are leaves of pytrees. `vmap` gives them more axes, and `jax.tree.map` may
# replace them with other objects, so annotations cannot check their shapes.


@struct.dataclass
class KeyValues:
    """The keys and values of tokens that a model has read, for later tokens to attend to.

    Attributes:
      keys: `[L, B, S, H_kv, Dh]`, with the rotary embedding applied. With batch 1, all rows of the
        later tokens share them without a copy.
      values: `[L, B, S, H_kv, Dh]`.
      mask: bool `[B, S]`, True where a token is real.
      positions: int32 `[B, S]`, for measuring sliding windows; None if the real tokens are counted
        from 0, in each segment.
      segment_ids: int32 `[B, S]`, the segment of each token of packed rows. Only later tokens of
        the same segment see it; None if all later tokens do.
    """

    keys: Any
    values: Any
    mask: Any
    positions: Any = None
    segment_ids: Any = None


@struct.dataclass
class ModelOutput:
    """The output of `Pretrained.apply`.

    Attributes:
      hidden: `[B, T, D]`, after the final norm.
      logits: float32 `[B, T, V]`; None without an output embedding, or with `unembed=False`. A head
        that classifies gives `[B, C]` for texts and `[B, T, C]` for tokens.
      key_values: the `KeyValues` of these tokens, without a prefix, in the layers that ran; None
        for an encoder. Under `jit` they cost nothing unless they are used.
      encoder_hidden: the hidden states `[B, S, D]` of the encoder in an encoder-decoder.
      features: float32 `[B, D]`, the output of a head that pools.
    """

    hidden: Any
    logits: Any = None
    key_values: Any = None
    encoder_hidden: Any = None
    features: Any = None

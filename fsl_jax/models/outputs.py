"""What a model returns: hidden states, logits, and the keys and values of its attention."""

from typing import Any

from flax import struct

Params = dict[str, Any]
"""One nested dict of arrays; layers of one kind are stacked on a leading axis `L`."""

# The fields below are trees' leaves: under `vmap` they have more axes, and under `jax.tree.map`
# they may be anything, so their annotations cannot be checked as shapes.


@struct.dataclass
class KeyValues:
    """The keys and values of tokens that a model has read, to be attended to by later tokens.

    Attributes:
      keys: `[L, B, S, H_kv, Dh]`, the rotary embedding already applied. With batch 1 they are
        shared by all rows of the later tokens, and are not copied per row.
      values: `[L, B, S, H_kv, Dh]`.
      mask: bool `[B, S]`, True where a token is real.
      positions: int32 `[B, S]`, by which sliding windows are measured; None where the real tokens
        are to be counted from 0.
    """

    keys: Any
    values: Any
    mask: Any
    positions: Any = None


@struct.dataclass
class ModelOutput:
    """What `Pretrained.apply` returns.

    Attributes:
      hidden: `[B, T, D]`, after the final norm.
      logits: float32 `[B, T, V]`, or None where the model has no output embedding or
        `unembed=False`; of a model with a head what that gives, `[B, C]` for the classes of texts
        and `[B, T, C]` for those of tokens.
      key_values: of these tokens alone (not of a prefix), for the layers that ran; None for an
        encoder. Under `jit` they cost nothing unless they are used.
      encoder_hidden: of an encoder-decoder, the encoder's hidden states `[B, S, D]`.
      features: float32 `[B, D]`, of a model with a head that pools.
    """

    hidden: Any
    logits: Any = None
    key_values: Any = None
    encoder_hidden: Any = None
    features: Any = None

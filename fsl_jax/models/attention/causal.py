"""Attention inputs of a decoder: mask, positions, and the keys and values of a prefix."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.attention import causal_mask, require_positions, token_positions
from fsl_jax.models.outputs import KeyValues

Pair = tuple[Float[Array, "B T H_kv Dh"], Float[Array, "B T H_kv Dh"]]
"""Keys and values of a layer's tokens."""
PrefixPair = tuple[Float[Array, "P_B P H_kv Dh"], Float[Array, "P_B P H_kv Dh"]]
"""Keys and values of a layer's prefix."""
StackedPair = tuple[Float[Array, "_ B S H_kv Dh"], Float[Array, "_ B S H_kv Dh"]]
"""Keys and values of all layers of a section."""


@dataclasses.dataclass(frozen=True)
class CausalAttentionInputs:
    """The inputs of a decoder's layers besides the activations.

    Attributes:
      positions: of the tokens, `[B, T]`.
      mask: `[B, T, P + T]`, True where a token sees another.
      real: `[B, T]`, True where a token is real.
      prefix: keys and values of the `P` tokens before these, or None.
    """

    positions: Int[Array, "B T"]
    mask: Bool[Array, "B T S"]
    real: Bool[Array, "B T"]
    prefix: KeyValues | None

    def key_positions(self) -> Int[Array, "B S"]:
        """Return the positions of the prefix's tokens followed by those of the tokens."""
        if self.prefix is None:
            return self.positions
        before = self.prefix.positions
        if before is None:
            before = token_positions(self.prefix.mask, self.prefix.segment_ids)
        before = jnp.broadcast_to(before, (len(self.positions), before.shape[1]))
        return jnp.concatenate([before, self.positions], axis=1)

    def per_layer(self, first: int, layers: int) -> Any:
        """Return the prefix's keys and values for `layers` layers, starting at layer `first`."""
        if self.prefix is None:
            return None
        section = slice(first, first + layers)
        return self.prefix.keys[section], self.prefix.values[section]

    def arguments(self, inputs: Any) -> tuple[Any, PrefixPair | None]:
        """Return the mask, and the prefix's keys and values in one layer."""
        return self.mask, inputs

    def key_values(self, sections: list[StackedPair]) -> KeyValues | None:
        """Join the keys and values that the sections returned; None if no section ran."""
        if not sections:
            return None
        keys, values = (
            each[0] if len(each) == 1 else jnp.concatenate(each)
            for each in zip(*sections, strict=True)
        )
        return KeyValues(keys, values, self.real, self.positions)


def causal_attention_inputs(
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
    position_ids: Int[Array, "B T"] | None,
    prefix: KeyValues | None,
) -> CausalAttentionInputs:
    """Compute masks and positions from the arguments of `Pretrained.apply`.

    Args:
      attention_mask: True where a token is real, `[B, T]`, or where it sees another,
        `[B, T, P + T]`.
      position_ids: of the tokens; None counts the real ones, from the prefix on.
      prefix: keys and values of the `P` tokens before these, or None.

    Returns:
      The layers' inputs.

    Raises:
      InputError: the mask has three axes and there are no position_ids.
    """
    if position_ids is None:
        require_positions(attention_mask)
        position_ids = token_positions(attention_mask)
        if prefix is not None:
            position_ids += jnp.sum(prefix.mask, axis=1, dtype=jnp.int32)[:, None]
    if attention_mask.ndim == 3:
        length = attention_mask.shape[1]
        real = jnp.any(attention_mask[:, :, -length:], axis=1)
        return CausalAttentionInputs(position_ids, attention_mask, real, prefix)
    mask = causal_mask(attention_mask)
    if prefix is not None:
        shape = (*mask.shape[:2], prefix.mask.shape[1])
        mask = jnp.concatenate([jnp.broadcast_to(prefix.mask[:, None, :], shape), mask], axis=-1)
    return CausalAttentionInputs(position_ids, mask, attention_mask, prefix)

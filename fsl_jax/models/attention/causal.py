"""What every layer of a decoder needs beside the activations: who sees whom, and the prefix."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.attention import causal_mask, require_positions, token_positions
from fsl_jax.models.outputs import KeyValues

Pair = tuple[Float[Array, "B T H_kv Dh"], Float[Array, "B T H_kv Dh"]]
PrefixPair = tuple[Float[Array, "P_B P H_kv Dh"], Float[Array, "P_B P H_kv Dh"]]
StackedPair = tuple[Float[Array, "_ B S H_kv Dh"], Float[Array, "_ B S H_kv Dh"]]


@dataclasses.dataclass(frozen=True)
class CausalAttentionInputs:
    """Who sees whom, where the tokens stand, and what came before them.

    Attributes:
      positions: of the tokens, `[B, T]`.
      mask: `[B, T, P + T]`, True where a token sees another.
      real: `[B, T]`, True where a token is real.
      prefix: keys and values of the `P` tokens before these.
    """

    positions: Int[Array, "B T"]
    mask: Bool[Array, "B T S"]
    real: Bool[Array, "B T"]
    prefix: KeyValues | None

    def key_positions(self) -> Int[Array, "B S"]:
        """Where the tokens of the prefix and then these tokens stand."""
        if self.prefix is None:
            return self.positions
        before = self.prefix.positions
        if before is None:
            before = token_positions(self.prefix.mask)
        before = jnp.broadcast_to(before, (len(self.positions), before.shape[1]))
        return jnp.concatenate([before, self.positions], axis=1)

    def per_layer(self, first: int, layers: int) -> Any:
        """What differs between the layers of a section: the prefix's keys and values."""
        if self.prefix is None:
            return None
        section = slice(first, first + layers)
        return self.prefix.keys[section], self.prefix.values[section]

    def arguments(self, inputs: Any) -> tuple[Any, PrefixPair | None]:
        """What one layer sees, and the prefix's keys and values in it."""
        return self.mask, inputs

    def key_values(self, sections: list[StackedPair]) -> KeyValues | None:
        """Joins the keys and values that the sections gave."""
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
    """Works out masks and positions from the arguments of `Pretrained.apply`."""
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
        seen = jnp.broadcast_to(prefix.mask[:, None, :], (*mask.shape[:2], prefix.mask.shape[1]))
        mask = jnp.concatenate([seen, mask], axis=-1)
    return CausalAttentionInputs(position_ids, mask, attention_mask, prefix)

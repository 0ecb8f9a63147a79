"""The inputs of attention in a Llama, whose layers may have a sliding window."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from fsl_jax.models.attention.attention import within_window
from fsl_jax.models.attention.causal import (
    CausalAttentionInputs,
    PrefixPair,
    causal_attention_inputs,
)
from fsl_jax.models.attention.rotary import Tables, rotary_tables
from fsl_jax.models.families.llama.config import LlamaConfig
from fsl_jax.models.outputs import KeyValues


class View(NamedTuple):
    """The inputs of attention in the layers of one kind, with or without a sliding window.

    Attributes:
      tables: cosines and sines of the tokens' positions, `[B, T, Dh / 2]` each.
      mask: bool `[B, T, P + T]`, True where a token sees another.
      prefix_from: `[B, T]`, the first vector of a learned prefix that a token sees; None without
        such a prefix, or if no layer has a window.
    """

    tables: Tables
    mask: Bool[Array, "B T S"]
    prefix_from: Int[Array, "B T"] | None = None


@dataclasses.dataclass(frozen=True)
class LlamaAttentionInputs(CausalAttentionInputs):
    """The inputs of attention in all layers.

    Attributes besides those of `CausalAttentionInputs`:
      views: the view of layers without a sliding window and that of layers with one. They are the
        same object if they do not differ.
      sliding: for each layer, True if it has a sliding window; empty if that makes no difference.
    """

    views: tuple[View, View]
    sliding: tuple[bool, ...]

    def per_layer(self, first: int, layers: int) -> tuple[Any, Bool[Array, " _"] | None]:
        """Return the prefix's keys and values and the kind of view, for the layers of a section."""
        prefix = super().per_layer(first, layers)
        if not self.sliding:
            return prefix, None
        return prefix, jnp.array(self.sliding[first : first + layers], bool)

    def arguments(self, inputs: Any) -> tuple[View, PrefixPair | None]:
        """Return the view of one layer, and the prefix's keys and values in it."""
        prefix, sliding = inputs
        whole, windowed = self.views
        if sliding is None:
            return whole, prefix

        def choose(far: Array, near: Array) -> Array:
            return far if far is near else jnp.where(sliding, near, far)

        return jax.tree.map(choose, whole, windowed), prefix


def llama_attention_inputs(
    config: LlamaConfig,
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
    position_ids: Int[Array, "B T"] | None,
    prefix: KeyValues | None,
    before: Int[Array, ""] | None = None,
) -> LlamaAttentionInputs:
    """Compute masks and positions from the arguments of `Pretrained.apply`.

    A learned prefix counts as `before` tokens: the positions of tokens start after it, and it
    slides out of windows as tokens do. Its keys are not rotated.
    """
    causal = causal_attention_inputs(attention_mask, position_ids, prefix)
    has_positions = position_ids is not None or (
        prefix is not None and prefix.positions is not None
    )
    positions = causal.positions if before is None else causal.positions + before
    views, sliding = _views(config, causal, positions, has_positions)
    if before is not None and any(config.sliding):
        views, sliding = _with_windowed_prefix(config, views, positions)
    return LlamaAttentionInputs(
        causal.positions, causal.mask, causal.real, causal.prefix, views, sliding
    )


def _views(
    config: LlamaConfig,
    causal: CausalAttentionInputs,
    positions: Int[Array, "B T"],
    has_positions: bool,
) -> tuple[tuple[View, View], tuple[bool, ...]]:
    """Return the two views, and which layers have a window if that makes a difference."""
    whole = View(_tables(config, positions, config.rope_theta), causal.mask)
    if not any(config.sliding):
        return (whole, whole), ()
    tables = _windowed_tables(config, positions, whole)
    windowed = View(tables, _windowed_mask(config, causal, has_positions))
    if all(config.sliding):
        return (windowed, windowed), ()
    alike = windowed.tables is whole.tables and windowed.mask is whole.mask
    return (whole, windowed), () if alike else config.sliding


def _with_windowed_prefix(
    config: LlamaConfig, views: tuple[View, View], positions: Int[Array, "B T"]
) -> tuple[tuple[View, View], tuple[bool, ...]]:
    """Return the views with the part of a learned prefix that is visible in each."""
    whole, windowed = views
    shown = jnp.maximum(positions - jnp.int32(config.window or 0) + 1, 0)
    windowed = windowed._replace(prefix_from=shown)
    if all(config.sliding):
        return (windowed, windowed), ()
    return (whole._replace(prefix_from=jnp.zeros_like(shown)), windowed), config.sliding


def _tables(config: LlamaConfig, positions: Int[Array, "B T"], theta: float) -> Tables:
    return rotary_tables(positions, config.head_dim, theta, config.rope_scaling)


def _windowed_tables(config: LlamaConfig, positions: Int[Array, "B T"], whole: View) -> Tables:
    if config.local_rope_theta is None:
        return whole.tables
    return rotary_tables(positions, config.head_dim, config.local_rope_theta)


def _windowed_mask(
    config: LlamaConfig, causal: CausalAttentionInputs, has_positions: bool
) -> Bool[Array, "B T S"]:
    """Return the mask limited to the window, or the same mask if no token can be that far away."""
    if config.window is None or (not has_positions and causal.mask.shape[-1] <= config.window):
        return causal.mask
    return causal.mask & within_window(causal.positions, causal.key_positions(), config.window)

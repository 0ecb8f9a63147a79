"""What the layers of a Llama see: all before a token, or what a sliding window shows of it."""

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
    """What the layers of one kind need beside the activations.

    Attributes:
      tables: cosines and sines of the tokens' positions, `[B, T, Dh / 2]` each.
      mask: bool `[B, T, P + T]`, True where a token sees another.
      prefix_from: `[B, T]`, the first vector of a learned prefix that a token sees; None where
        there is no such prefix, or no layer has a window.
    """

    tables: Tables
    mask: Bool[Array, "B T S"]
    prefix_from: Int[Array, "B T"] | None = None


@dataclasses.dataclass(frozen=True)
class LlamaAttentionInputs(CausalAttentionInputs):
    """Who sees whom, layer by layer.

    Attributes beside those of `CausalAttentionInputs`:
      views: of layers without and with a sliding window; the same one where they are alike.
      sliding: for each layer whether it has a sliding window; empty where that makes no difference.
    """

    views: tuple[View, View]
    sliding: tuple[bool, ...]

    def per_layer(self, first: int, layers: int) -> tuple[Any, Bool[Array, " _"] | None]:
        """What differs between the layers of a section: the prefix's states, and the view."""
        prefix = super().per_layer(first, layers)
        if not self.sliding:
            return prefix, None
        return prefix, jnp.array(self.sliding[first : first + layers], bool)

    def arguments(self, inputs: Any) -> tuple[View, PrefixPair | None]:
        """What one layer sees of these tokens and those before, and the prefix's states in it."""
        prefix, sliding = inputs
        whole, windowed = self.views
        if sliding is None:
            return whole, prefix

        def choose(far: Array, near: Array) -> Array:
            return far if far is near else jnp.where(sliding, near, far)

        return jax.tree.map(choose, whole, windowed), prefix


def llama_context(
    config: LlamaConfig,
    attention_mask: Bool[Array, "B T"] | Bool[Array, "B T S"],
    position_ids: Int[Array, "B T"] | None,
    prefix: KeyValues | None,
    before: Int[Array, ""] | None = None,
) -> LlamaAttentionInputs:
    """Works out masks and positions from the arguments of `Pretrained.apply`.

    With a learned prefix of `before` vectors, whose keys are not rotated, tokens are rotated by
    positions that come after it, and it slides out of windows as tokens do.
    """
    causal = causal_attention_inputs(attention_mask, position_ids, prefix)
    given = position_ids is not None or (prefix is not None and prefix.positions is not None)
    places = causal.positions if before is None else causal.positions + before
    views, sliding = _views(config, causal, places, given)
    if before is not None and any(config.sliding):
        views, sliding = _with_windowed_prefix(config, views, places)
    return LlamaAttentionInputs(
        causal.positions, causal.mask, causal.real, causal.prefix, views, sliding
    )


def _views(
    config: LlamaConfig, causal: CausalAttentionInputs, places: Int[Array, "B T"], given: bool
) -> tuple[tuple[View, View], tuple[bool, ...]]:
    """What layers without and with a window see, and which have one if that makes a difference."""
    whole = View(_tables(config, places, config.rope_theta), causal.mask)
    if not any(config.sliding):
        return (whole, whole), ()
    windowed = View(_windowed_tables(config, places, whole), _windowed_mask(config, causal, given))
    if all(config.sliding):
        return (windowed, windowed), ()
    alike = windowed.tables is whole.tables and windowed.mask is whole.mask
    return (whole, windowed), () if alike else config.sliding


def _with_windowed_prefix(
    config: LlamaConfig, views: tuple[View, View], places: Int[Array, "B T"]
) -> tuple[tuple[View, View], tuple[bool, ...]]:
    """The same views, with what each shows of a learned prefix."""
    whole, windowed = views
    shown = jnp.maximum(places - jnp.int32(config.window or 0) + 1, 0)
    windowed = windowed._replace(prefix_from=shown)
    if all(config.sliding):
        return (windowed, windowed), ()
    return (whole._replace(prefix_from=jnp.zeros_like(shown)), windowed), config.sliding


def _tables(config: LlamaConfig, places: Int[Array, "B T"], theta: float) -> Tables:
    return rotary_tables(places, config.head_dim, theta, config.rope_scaling)


def _windowed_tables(config: LlamaConfig, places: Int[Array, "B T"], whole: View) -> Tables:
    if config.local_rope_theta is None:
        return whole.tables
    return rotary_tables(places, config.head_dim, config.local_rope_theta)


def _windowed_mask(
    config: LlamaConfig, causal: CausalAttentionInputs, given: bool
) -> Bool[Array, "B T S"]:
    """The mask within the window; the mask itself where no two positions can be that far apart."""
    if config.window is None or (not given and causal.mask.shape[-1] <= config.window):
        return causal.mask
    return causal.mask & within_window(causal.positions, causal.key_positions(), config.window)

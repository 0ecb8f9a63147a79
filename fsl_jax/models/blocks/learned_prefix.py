"""The keys and values that an adaptation puts before those of the tokens."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fsl_jax.models.attention.attention import LearnedPrefix


def learned_prefix(
    attention: nn.Module,
    keys: Float[Array, "B T H_kv Dh"],
    seen_from: Int[Array, "B T"] | None = None,
) -> LearnedPrefix | None:
    """Return the learned prefix of an attention layer.

    Added leaves of the attention: prefix_key `[P, H_kv * Dh]`, prefix_value `[P, H_kv * Dh]` and
    prefix_mask `[P]`, which is 0 for padding (Li and Liang 2021, https://arxiv.org/abs/2101.00190).

    Args:
      attention: the module of the attention.
      keys: the keys of the tokens; their shape and dtype are read.
      seen_from: for each token, the number of the first vector of the prefix that it sees; by
        default a token sees all.

    Returns:
      The prefix, which tokens attend to beside their own keys; None if the layer has none.
    """
    if not attention.has_variable("params", "prefix_key"):
        return None

    def leaf(name: str) -> Array:
        return attention.get_variable("params", f"prefix_{name}")

    prefix_keys, prefix_values = (
        leaf(name).astype(keys.dtype).reshape(-1, *keys.shape[2:]) for name in ("key", "value")
    )
    mask = leaf("mask")[None, None] > 0
    if seen_from is not None:
        mask &= jnp.arange(mask.shape[2], dtype=jnp.int32)[None, None] >= seen_from[:, :, None]
    return LearnedPrefix(prefix_keys, prefix_values, mask)

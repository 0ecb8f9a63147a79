"""Masks of packed trees, whose tokens see their ancestors alone.

The tokens of a tree stand in a row depth-first: each token is followed by its subtree. So a tree is
told by one number a token, the size of the subtree that begins with it. A token sees another if it
stands in the subtree of the other. This keeps trees of one row apart too.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


def tree_mask(sizes: Int[Array, "B T"]) -> Bool[Array, "B T T"]:
    """Let each token see itself and its ancestors.

    Args:
      sizes: the number of tokens of the subtree that begins with each token, itself included; 0 for
        padding.

    Returns:
      True where a token (first axis after the rows) sees another. Padding sees none.
    """
    columns = jnp.arange(sizes.shape[1], dtype=jnp.int32)
    ends = columns[None] + sizes
    query, key = columns[None, :, None], columns[None, None, :]
    return (key <= query) & (query < ends[:, None, :])


def tree_depths(mask: Bool[Array, "B T T"]) -> Int[Array, "B T"]:
    """Count the ancestors of each token.

    Args:
      mask: the mask of `tree_mask`.

    Returns:
      int32 depths, 0 for the root of a tree and for padding.
    """
    return jnp.maximum(jnp.sum(mask, axis=2, dtype=jnp.int32) - 1, 0)

"""Choose the next token: process the logits in the order of transformers, and draw.

Except for ties, the logits processors of transformers keep the same tokens.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

# The fields below are traced leaves of pytrees; None leaves a step out.


@struct.dataclass
class Sampling:
    """The steps by which the next token is chosen; None leaves a step out.

    Attributes:
      temperature: the divisor of logits, float32 `[]` above 0; None takes the likeliest token.
      top_k: the number of likeliest tokens that remain. A Python number, not traced.
      top_p: float32 `[]`; keeps the smallest set of likeliest tokens with this total probability
        (https://arxiv.org/abs/1904.09751).
      min_p: float32 `[]`; keeps tokens whose probability is at least this share of the likeliest
        token's (https://arxiv.org/abs/2407.01082).
      repetition_penalty: float32 `[]`; a positive logit of a token that was seen is divided by it,
        a negative one multiplied (https://arxiv.org/abs/1909.05858).
    """

    temperature: Any = None
    top_k: int | None = struct.field(pytree_node=False, default=None)
    top_p: Any = None
    min_p: Any = None
    repetition_penalty: Any = None


def process(
    logits: Float[Array, "B V"],
    seen: Bool[Array, "B V"] | None,
    sampling: Sampling,
    at_least: int = 1,
) -> Float[Array, "B V"]:
    """Apply all steps of `sampling` to logits, in order.

    Args:
      logits: float32 `[B, V]`.
      seen: `[B, V]`, True for tokens of the prompt and its continuation; None without a penalty.
      sampling: the steps.
      at_least: the minimum number of tokens to keep.

    Returns:
      float32 `[B, V]`; minus infinity for a token that cannot be chosen.
    """
    if sampling.repetition_penalty is not None and seen is not None:
        logits = penalise(logits, seen, sampling.repetition_penalty)
    if sampling.temperature is not None:
        logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, max(sampling.top_k, at_least))
    if sampling.top_p is not None:
        logits = keep_top_p(logits, sampling.top_p, at_least)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p, at_least)
    return logits


def choose(
    logits: Float[Array, "B V"],
    seen: Bool[Array, "B V"] | None,
    sampling: Sampling,
    keys: Key[Array, " B"],
    step: Int[Array, ""],
) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
    """Choose the next token of each row.

    Args:
      logits: float32 `[B, V]`.
      seen: as in `process`.
      sampling: the steps.
      keys: a threefry key for each row, so that no row depends on another.
      step: the number of tokens chosen before; it is folded into the keys.

    Returns:
      The tokens, int32 `[B]`, and their log-probabilities under the processed logits, `[B]`.
    """
    processed = process(logits, seen, sampling)
    if sampling.temperature is None:
        tokens = likeliest(processed)
    else:
        tokens = jax.vmap(
            lambda key, row: jax.random.categorical(jax.random.fold_in(key, step), row)
        )(keys, processed)
    chosen = jnp.take_along_axis(processed, tokens[:, None], axis=1)[:, 0]
    return tokens.astype(jnp.int32), chosen - jax.nn.logsumexp(processed, axis=-1)


def likeliest(logits: Float[Array, "B V"]) -> Int[Array, " B"]:
    """Return the first index of the largest logit of each row.

    On a CPU this takes two thirds of the time of `argmax`, which XLA does not vectorise there.
    """
    largest = jnp.max(logits, axis=-1, keepdims=True)
    numbers = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    first = jnp.min(jnp.where(logits == largest, numbers, logits.shape[-1]), axis=-1)
    # If all logits of a row are NaN, none equals the largest.
    return jnp.minimum(first, logits.shape[-1] - 1)


def penalise(
    logits: Float[Array, "B V"], seen: Bool[Array, "B V"], penalty: Float[Array, ""]
) -> Float[Array, "B V"]:
    """Make tokens that were seen less likely, for a penalty above 1."""
    return jnp.where(seen, jnp.where(logits < 0, logits * penalty, logits / penalty), logits)


def keep_top_k(logits: Float[Array, "B V"], top_k: int) -> Float[Array, "B V"]:
    """Keep the tokens that are at least as likely as the k-th likeliest."""
    least = jax.lax.top_k(logits, min(top_k, logits.shape[-1]))[0][:, -1:]
    return jnp.where(logits < least, -jnp.inf, logits)


def keep_top_p(
    logits: Float[Array, "B V"], top_p: Float[Array, ""], at_least: int = 1
) -> Float[Array, "B V"]:
    """Keep the likeliest tokens with a total probability of `top_p`, but at least `at_least`."""
    ascending = jnp.sort(logits, axis=-1)
    below = jnp.cumsum(jax.nn.softmax(ascending, axis=-1), axis=-1)
    kept = (below > 1 - top_p).at[:, -at_least:].set(True)
    least = jnp.min(jnp.where(kept, ascending, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits < least, -jnp.inf, logits)


def keep_min_p(
    logits: Float[Array, "B V"], min_p: Float[Array, ""], at_least: int = 1
) -> Float[Array, "B V"]:
    """Keep tokens at least `min_p` times as probable as the likeliest, but at least `at_least`."""
    probabilities = jax.nn.softmax(logits, axis=-1)
    least = min_p * jnp.max(probabilities, axis=-1, keepdims=True)
    kept = jax.lax.top_k(probabilities, at_least)[0][:, -1:]
    return jnp.where(probabilities < jnp.minimum(least, kept), -jnp.inf, logits)


def draw_several(
    scores: Float[Array, "B W"], count: int, keys: Key[Array, " B"], step: Int[Array, ""]
) -> tuple[Float[Array, "B M"], Int[Array, "B M"]]:
    """Draw indices of each row without replacement, by the softmax of the row's scores.

    After adding Gumbel noise, the indices of the largest scores are such draws, in order
    (https://arxiv.org/abs/1903.06059).

    Args:
      scores: float32 `[B, W]`; an index whose score is minus infinity is drawn last.
      count: the number of draws, `M`.
      keys: a threefry key for each row.
      step: folded into the keys.

    Returns:
      The scores of the drawn indices, float32 `[B, M]`, and the indices, int32 `[B, M]`.
    """
    noise = jax.vmap(
        lambda key: jax.random.gumbel(jax.random.fold_in(key, step), scores.shape[1:], jnp.float32)
    )(keys)
    indices = jax.lax.top_k(scores + noise, count)[1]
    return jnp.take_along_axis(scores, indices, axis=1), indices


def mark_seen(
    seen: Bool[Array, "B V"] | None, tokens: Int[Array, " B"]
) -> Bool[Array, "B V"] | None:
    """Mark a token of each row as seen; None stays None."""
    if seen is None:
        return None
    return seen.at[jnp.arange(len(tokens)), tokens].set(True)


def seen_in(
    input_ids: Int[Array, "B T"], mask: Bool[Array, "B T"], vocab_size: int
) -> Bool[Array, "B V"]:
    """Return a mask of the vocabulary, True for the real tokens of the prompt."""
    rows = jnp.arange(len(input_ids))[:, None]
    none = jnp.zeros((len(input_ids), vocab_size), bool)
    return none.at[rows, input_ids].max(mask)

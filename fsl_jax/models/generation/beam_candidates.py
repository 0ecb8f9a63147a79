"""Propose the candidates of a beam search, and keep the finished ones."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.generation.beams import (
    LOWEST,
    LOWEST_VALID,
    BeamOptions,
    BeamState,
    Candidates,
    FinishedBeams,
)
from fsl_jax.models.generation.decode_loop import DecodeBatch, is_end
from fsl_jax.models.generation.sampling import draw_several, process


def propose_candidates(
    state: BeamState, logits: Float[Array, "R V"], batch: DecodeBatch, options: BeamOptions
) -> Candidates:
    """Continue the beams by one token, with the best or with drawn continuations.

    Args:
      state: the open beams.
      logits: the logits of the next token of each beam, float32 `[B * K, V]`.
      batch: the prompts.
      options: of the search.

    Returns:
      The candidates.
    """
    prompts, beams = state.scores.shape
    # Enough per beam that K open candidates are left even if all others end.
    per_beam = min(max(2, 1 + batch.end_tokens.shape[0]), logits.shape[1])
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    log_probs = process(log_probs, state.seen, options.sampling, at_least=per_beam)
    totals = (log_probs.reshape(prompts, beams, -1) + state.scores[:, :, None]).reshape(prompts, -1)
    if options.sampling.temperature is None:
        scores, indices = jax.lax.top_k(totals, per_beam * beams)
    else:
        keys = batch.keys.reshape(prompts, beams)[:, 0]
        scores, indices = draw_several(totals, per_beam * beams, keys, state.step)
    parents, chosen = indices // logits.shape[1], (indices % logits.shape[1]).astype(jnp.int32)
    tokens = jax.lax.dynamic_update_slice(
        take_per_prompt(state.tokens, parents), chosen[:, :, None], (0, 0, state.step)
    )
    return Candidates(tokens, chosen, scores, parents, is_end(chosen, batch.end_tokens))


def merge_finished(
    state: BeamState, candidates: Candidates, ended: Bool[Array, "B M"], options: BeamOptions
) -> FinishedBeams:
    """Return the best among the finished beams and the candidates that have ended.

    Args:
      state: the state that the candidates were proposed from.
      candidates: of the next step.
      ended: `[B, M]`, True for a candidate that has ended.
      options: of the search.

    Returns:
      The `K` best finished beams.
    """
    beams, scores = state.scores.shape[1], candidates.scores
    # The candidates after the first K can be continued, but not returned.
    among_best = (jnp.arange(scores.shape[1]) < beams)[None, :]
    counted = ended & among_best & (scores > LOWEST_VALID)
    allowed = counted & state.improvable[:, None]
    ranked = scores / length_divisor(state.step + 1, options)
    ranked = jnp.where(allowed, ranked, ranked + LOWEST)
    lengths = jnp.broadcast_to(state.step + 1, ranked.shape)
    new = FinishedBeams(candidates.tokens, ranked, lengths, candidates.stopped, counted)
    both = jax.tree.map(lambda *pair: jnp.concatenate(pair, axis=1), state.finished, new)
    best = jax.lax.top_k(both.scores, beams)[1]
    return jax.tree.map(lambda leaf: take_per_prompt(leaf, best), both)


def length_divisor(tokens: Int[Array, ""], options: BeamOptions) -> Float[Array, ""]:
    """Return the number of tokens to the power of the length penalty."""
    return tokens.astype(jnp.float32) ** options.length_penalty


def take_per_prompt(x: Array, indices: Int[Array, "B M"]) -> Array:
    """Select along the second axis, with indices for each prompt."""
    return jnp.take_along_axis(x, indices.reshape(*indices.shape, *[1] * (x.ndim - 2)), axis=1)

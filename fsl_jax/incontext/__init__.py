"""Ask a frozen language model: score continuations, choose label words, or let it write."""

from fsl_jax.incontext.requests import Request
from fsl_jax.incontext.scorer import Score, Scorer, score

__all__ = ["Request", "Score", "Scorer", "score"]

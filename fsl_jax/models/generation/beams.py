"""What a beam search holds: open beams, what they could become, and those that have finished."""

from typing import Any

from flax import struct

from fsl_jax.models.generation.sampling import Sampling

# ConfigReader are leaves of trees, which are traced.

LOWEST = -1e9
"""Lower than any score, and finite so that sums stay numbers."""

# What has been lowered stays below this, and what has not stays above.
HOPELESS = LOWEST / 2
"""Beams with a score below this only fill the place of others, and are never returned."""


@struct.dataclass
class Finished:
    """The `K` best finished continuations of each prompt, the best first.

    Attributes:
      tokens: int32 `[B, K, N]`.
      scores: log-probability over length to the power of the penalty, float32 `[B, K]`.
      lengths: tokens that count, the one that ended it among them, int32 `[B, K]`.
      stopped: bool `[B, K]`, True where a token or a string ended it, False where the limit did.
      filled: bool `[B, K]`, False where none has finished yet.
    """

    tokens: Any
    scores: Any
    lengths: Any
    stopped: Any
    filled: Any


@struct.dataclass
class Candidates:
    """What the open beams of each prompt could become, `M` of them, the best or first drawn first.

    Attributes:
      tokens: int32 `[B, M, N]`, the new one among them.
      chosen: the new token, int32 `[B, M]`.
      scores: log-probabilities of all tokens together, float32 `[B, M]`.
      parents: the beams that they continue, int32 `[B, M]`, from 0 to `K`.
      stopped: bool `[B, M]`, whether a token or a string has ended them.
    """

    tokens: Any
    chosen: Any
    scores: Any
    parents: Any
    stopped: Any


@struct.dataclass
class BeamState:
    """Where the search stands; `step` tokens of each beam have been chosen.

    Attributes:
      cache: of all tokens that were read, `[L, B * K, S, H_kv, Dh]`.
      encoded: of an encoder's tokens, or None.
      positions: of the last token of the beams, int32 `[B * K]`.
      seen: bool `[B * K, V]` for the repetition penalty, or None.
      tokens: of the open beams, int32 `[B, K, N]`.
      scores: log-probabilities of the open beams, float32 `[B, K]`.
      finished: those that have ended.
      improvable: bool `[B]`, False once nothing better is expected for a prompt.
      step: int32 `[]`.
    """

    cache: Any
    encoded: Any
    positions: Any
    seen: Any
    tokens: Any
    scores: Any
    finished: Any
    improvable: Any
    step: Any


@struct.dataclass
class BeamOptions:
    """What the search needs beside the model.

    Attributes:
      sampling: applied to log-probabilities, as in transformers; with a temperature, beams are
        drawn.
      length_penalty: float32 `[]`.
      limit: int32 `[]`, tokens of a continuation at most.
    """

    sampling: Sampling
    length_penalty: Any
    limit: Any

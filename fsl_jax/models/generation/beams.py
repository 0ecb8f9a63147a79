"""The data of a beam search: open beams, their candidates, and finished beams."""

from typing import Any

from flax import struct

from fsl_jax.models.generation.sampling import Sampling

# The fields are traced leaves of trees, so their annotations cannot be checked as shapes.

LOWEST = -1e9
"""A number lower than any score, finite so that sums remain numbers."""

# A score to which LOWEST was added is below this; any other is above.
LOWEST_VALID = LOWEST / 2
"""The limit of valid scores: a beam below it only fills a slot, and is never returned."""


@struct.dataclass
class FinishedBeams:
    """The `K` best finished continuations of each prompt, the best first.

    Attributes:
      tokens: int32 `[B, K, N]`.
      scores: log-probability over length to the power of the penalty, float32 `[B, K]`.
      lengths: the number of tokens that count, the last one included, int32 `[B, K]`.
      stopped: bool `[B, K]`, True if a token or a string ended it, False if the limit did.
      filled: bool `[B, K]`, False for a slot without a continuation.
    """

    tokens: Any
    scores: Any
    lengths: Any
    stopped: Any
    filled: Any


@struct.dataclass
class Candidates:
    """The `M` candidates that continue each prompt's open beams, the best or first drawn first.

    Attributes:
      tokens: int32 `[B, M, N]`, the new token included.
      chosen: the new token, int32 `[B, M]`.
      scores: log-probabilities of all tokens together, float32 `[B, M]`.
      parents: the beams that they continue, int32 `[B, M]`, from 0 to `K - 1`.
      stopped: bool `[B, M]`, True if a token or a string has ended the candidate.
    """

    tokens: Any
    chosen: Any
    scores: Any
    parents: Any
    stopped: Any


@struct.dataclass
class BeamState:
    """The state of a search after `step` tokens of each beam.

    Attributes:
      cache: of all tokens that were read, `[L, B * K, S, H_kv, Dh]`.
      encoded: keys and values of an encoder's tokens, or None.
      positions: of the last token of the beams, int32 `[B * K]`.
      seen: bool `[B * K, V]` for the repetition penalty, or None.
      tokens: of the open beams, int32 `[B, K, N]`.
      scores: log-probabilities of the open beams, float32 `[B, K]`.
      finished: the best finished beams.
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
    """The traced options of a search.

    Attributes:
      sampling: applied to log-probabilities, as in transformers; with a temperature, beams are
        drawn.
      length_penalty: float32 `[]`.
      limit: the highest number of tokens of a continuation, int32 `[]`.
    """

    sampling: Sampling
    length_penalty: Any
    limit: Any

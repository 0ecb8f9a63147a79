"""The data of a beam search: open beams, their candidates, and finished beams."""

from typing import Any

from flax import struct

from fsl_jax.models.generation.sampling import Sampling

# The fields are traced leaves of pytrees, so their annotations cannot be checked as shapes.

LOWEST = -1e9
"""A number lower than any score, but finite, so that sums stay finite."""

# A score to which LOWEST was added is below this; all other scores are above.
LOWEST_VALID = LOWEST / 2
"""The limit of valid scores: a beam below it only fills a slot, and is never returned."""


@struct.dataclass
class FinishedBeams:
    """The `K` best finished continuations of each prompt, the best first.

    Attributes:
      tokens: int32 `[B, K, N]`.
      scores: log-probability divided by length to the power of the length penalty, float32 `[B,
        K]`.
      lengths: the number of tokens, including the end token, int32 `[B, K]`.
      stopped: bool `[B, K]`, True if a token or a stop string ended it, False if the limit did.
      filled: bool `[B, K]`, False for a slot without a continuation.
    """

    tokens: Any
    scores: Any
    lengths: Any
    stopped: Any
    filled: Any


@struct.dataclass
class Candidates:
    """The `M` candidates that continue each prompt's open beams, in order of score or drawing.

    Attributes:
      tokens: int32 `[B, M, N]`, the new token included.
      chosen: the new token, int32 `[B, M]`.
      scores: total log-probabilities of all tokens, float32 `[B, M]`.
      parents: the beams that they continue, int32 `[B, M]`, from 0 to `K - 1`.
      stopped: bool `[B, M]`, True if a token or a stop string has ended the candidate.
    """

    tokens: Any
    chosen: Any
    scores: Any
    parents: Any
    stopped: Any


@struct.dataclass
class BeamState:
    """The state of a search when each beam has `step` tokens.

    Attributes:
      cache: the keys and values of all tokens read so far, `[L, B * K, S, H_kv, Dh]`.
      encoded: keys and values of an encoder's tokens, or None.
      positions: the positions of the beams' last tokens, int32 `[B * K]`.
      seen: bool `[B * K, V]` for the repetition penalty, or None.
      tokens: the tokens of the open beams, int32 `[B, K, N]`.
      scores: log-probabilities of the open beams, float32 `[B, K]`.
      finished: the best finished beams.
      improvable: bool `[B]`, False once a prompt can get no better beam.
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
      limit: the maximum number of tokens of a continuation, int32 `[]`.
    """

    sampling: Sampling
    length_penalty: Any
    limit: Any

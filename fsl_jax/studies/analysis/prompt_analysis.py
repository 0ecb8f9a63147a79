"""Measures of soft prompts: the nearest words, and the distances between prompts."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import unknown_name

MEASURES = ("cosine", "euclidean")
WITHIN = "two positions of one prompt"


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """An entry of the vocabulary near a vector.

    Attributes:
      word: the text of the token.
      token_id: the token's row in the table of embeddings.
      distance: the distance from the vector, in the requested measure.
    """

    word: str
    token_id: int
    distance: float


def distances(
    left: Float[np.ndarray, "M D"], right: Float[np.ndarray, "K D"], measure: str = "cosine"
) -> Float[np.ndarray, "M K"]:
    """Compute the distance of each left vector from each right vector.

    Args:
      left: M vectors.
      right: K vectors.
      measure: "cosine" (one minus the cosine of the angle, from 0 to 2) or "euclidean".

    Returns:
      float64 distances.

    Raises:
      InputError: the measure is unknown.
    """
    if measure not in MEASURES:
        raise unknown_name("measure of distance", measure, MEASURES)
    return cdist(left, right, measure)


def nearest_words(
    vectors: Float[np.ndarray, "P D"],
    table: Float[np.ndarray, "V D"],
    tokenizer: PreTrainedTokenizerFast,
    count: int = 5,
    measure: str = "cosine",
) -> list[list[Neighbour]]:
    """Find the entries of the vocabulary that are nearest to each vector.

    Args:
      vectors: a soft prompt.
      table: the word embedding, including the rows of special and unused tokens.
      tokenizer: the tokenizer of the model.
      count: the number of neighbours of each vector.
      measure: as for `distances`.

    Returns:
      For each vector its neighbours, nearest first.
    """
    all_distances = distances(vectors, table, measure)

    def neighbour(position: int, token_id: int) -> Neighbour:
        word = tokenizer.decode([token_id]).strip()
        name = word or repr(tokenizer.convert_ids_to_tokens([token_id])[0])
        return Neighbour(name, token_id, float(all_distances[position, token_id]))

    return [
        [neighbour(position, int(row)) for row in np.argsort(of_vector, kind="stable")[:count]]
        for position, of_vector in enumerate(all_distances)
    ]


def prompt_distances(
    prompts: Float[np.ndarray, "N P D"], measure: str = "cosine", matched: bool = False
) -> Float[np.ndarray, "N N"]:
    """Compute the distances between prompts, as the mean over pairs of their vectors.

    Args:
      prompts: N prompts of one length.
      measure: as for `distances`.
      matched: if False, compare the vectors at the same position. If True, pair each vector with
        one of the other prompt such that the mean is smallest. Two prompts with the same vectors in
        another order then have distance 0.

    Returns:
      A symmetric matrix. Its diagonal is the mean over all pairs of different positions within a
      prompt, or NaN if the prompt has one position.
    """
    count, length = prompts.shape[:2]
    flat = prompts.reshape(count * length, -1)
    all_distances = distances(flat, flat, measure)
    result = np.full((count, count), np.nan)
    for one in range(count):
        for other in range(one, count):
            rows = slice(one * length, (one + 1) * length)
            block = all_distances[rows, other * length : (other + 1) * length]
            result[one, other] = result[other, one] = (
                _within(block) if one == other else _between(block, matched)
            )
    return result


def _within(block: np.ndarray) -> float:
    length = len(block)
    pairs = block[~np.eye(length, dtype=bool)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def _between(block: np.ndarray, matched: bool) -> float:
    rows, columns = linear_sum_assignment(block) if matched else (np.arange(len(block)),) * 2
    return float(block[rows, columns].mean())


def mean_distances(
    between: Float[np.ndarray, "N N"], starts: Sequence[str], seeds: Sequence[int]
) -> dict[str, float]:
    """Average the distances of prompts, grouped by whether they share a start or a seed.

    Args:
      between: from `prompt_distances`.
      starts: the start of each prompt.
      seeds: the seed of each prompt.

    Returns:
      The mean within a prompt, and the means between prompts with the same start and different
      seeds, with the same seed and different starts, and with different seeds and starts. A group
      without pairs is left out.
    """
    kinds: dict[str, Callable[[int, int], bool]] = {
        WITHIN: lambda one, other: one == other,
        "other seed, same start": lambda one, other: (
            one < other and starts[one] == starts[other] and seeds[one] != seeds[other]
        ),
        "same seed, other start": lambda one, other: (
            one < other and starts[one] != starts[other] and seeds[one] == seeds[other]
        ),
        "other seed, other start": lambda one, other: (
            one < other and starts[one] != starts[other] and seeds[one] != seeds[other]
        ),
    }
    pairs = [(one, other) for one in range(len(between)) for other in range(len(between))]
    chosen = {
        name: [between[pair] for pair in pairs if belongs(*pair)] for name, belongs in kinds.items()
    }
    return {name: float(np.mean(values)) for name, values in chosen.items() if values}

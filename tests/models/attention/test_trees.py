import hypothesis
import jax
import numpy as np
from hypothesis import strategies

from fsl_jax.models.attention.trees import tree_depths, tree_mask

LENGTH = 24


@strategies.composite
def rows(draw):
    """Two rows of trees: the parent of each token, which stands depth-first; -1 for a root."""
    parents = []
    for _ in range(2):
        row = []
        for token in range(draw(strategies.integers(0, LENGTH))):
            # Depth-first: a token follows the one before, or one of its ancestors, or begins anew.
            open_tokens = [-1]
            if token:
                above = token - 1
                while above >= 0:
                    open_tokens.append(above)
                    above = row[above]
            row.append(draw(strategies.sampled_from(open_tokens)))
        parents.append(row)
    return parents


def ancestors(row, token):
    """Return a token and those above it."""
    found = []
    while token >= 0:
        found.append(token)
        token = row[token]
    return found


def sizes_of(row):
    above = [ancestors(row, token) for token in range(len(row))]
    sizes = [sum(token in each for each in above) for token in range(len(row))]
    return sizes + [0] * (LENGTH - len(row))


@hypothesis.given(rows())
@hypothesis.settings(max_examples=60)
def test_tokens_see_their_ancestors_alone(parents):
    expected = np.zeros((2, LENGTH, LENGTH), bool)
    depths = np.zeros((2, LENGTH), np.int32)
    for number, row in enumerate(parents):
        for token in range(len(row)):
            seen = ancestors(row, token)
            expected[number, token, seen] = True
            depths[number, token] = len(seen) - 1
    mask = jax.jit(tree_mask)(np.array([sizes_of(row) for row in parents], np.int32))
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(jax.jit(tree_depths)(mask), depths)

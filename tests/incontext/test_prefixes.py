import numpy as np

from fsl_jax.incontext.prefixes import KEPT, Prefixes
from fsl_jax.incontext.shared_beginnings import Sharing
from fsl_jax.models.generation.shared_prefix import prefix_length
from fsl_jax.models.outputs import KeyValues


def kept(capacity=300):
    """Prefixes of a model whose keys are the tokens, and the list of what it has read."""
    read = []

    def reading(ids, mask):
        read.append(tuple(np.asarray(ids)[np.asarray(mask)].tolist()))
        return KeyValues(ids, ids, mask)

    return Prefixes(reading, capacity), read


def test_a_prefix_is_read_once():
    prefixes, read = kept()
    found = prefixes[4, 5, 6]
    assert found.keys.shape == (1, prefix_length(3, 300))
    assert prefixes[4, 5, 6] is found
    assert read == [(4, 5, 6)]


def test_the_last_ones_needed_are_kept():
    prefixes, read = kept()
    for number in range(KEPT):
        prefixes[number, 1]
    prefixes[0, 1]
    prefixes[KEPT, 1]
    assert len(read) == KEPT + 1
    prefixes[0, 1]
    assert len(read) == KEPT + 1
    prefixes[1, 1]
    assert read[-1] == (1, 1)
    assert len(read) == KEPT + 2


def test_the_longest_known_beginning_is_found():
    prefixes, _ = kept()
    for tokens in [(1,), (1, 2, 3), (1, 2, 3, 4, 5), (2,)]:
        prefixes[tokens]
    assert prefixes.known((1, 2, 3, 4)) == (1, 2, 3)
    assert prefixes.known((1, 2, 3, 4), at_least=4) == ()
    assert prefixes.known((1, 2)) == (1,)
    assert prefixes.known((3,)) == ()


def test_beginnings_that_are_kept_are_shared():
    prefixes, _ = kept()
    shown, other = tuple(range(20)), tuple(range(50, 80))
    prefixes[shown]
    contexts = [
        (*shown, 40, 1),
        (*shown, 40, 2),
        shown[:5],
        (*other, 3),
        (*other, 4),
        (9, 9),
        (*shown, 5),
    ]
    assert prefixes.sharings(contexts, worth=30) == [
        Sharing(shown, (0, 1, 6)),
        Sharing(other, (3, 4)),
        Sharing((), (2, 5)),
    ]
    assert prefixes.sharings(contexts[:2], worth=20) == [Sharing(shown, (0, 1))]
    longer = [(*shown, *other, end) for end in range(3)]
    assert prefixes.sharings(longer, worth=30) == [Sharing((*shown, *other), (0, 1, 2))]

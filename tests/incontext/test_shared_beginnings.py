import hypothesis
import pytest
from hypothesis import strategies

from fsl_jax.incontext.shared_beginnings import Sharing, find_sharings, shared_length

CONTEXTS = strategies.lists(
    strategies.lists(strategies.integers(0, 1), min_size=1, max_size=6).map(tuple),
    max_size=7,
)


def saved_by_one(contexts, shortest, worth):
    """The most tokens that any one beginning saves."""
    saved = [0]
    for beginning in {each[:end] for each in contexts for end in range(shortest, len(each))}:
        length = len(beginning)
        sharing = [each for each in contexts if each[:length] == beginning and len(each) > length]
        saved.append(length * (len(sharing) - 1))
    return max(each for each in saved if not each or each >= worth)


def assert_shared(contexts, sharings, shortest, worth):
    """Check that beginnings are shared and worth reading; return how many tokens they save."""
    members = [number for sharing in sharings for number in sharing.members]
    assert sorted(members) == list(range(len(contexts)))
    saved = 0
    for sharing in sharings:
        if sharing.beginning:
            length = len(sharing.beginning)
            assert length >= shortest
            assert length * (len(sharing.members) - 1) >= worth
            assert all(contexts[each][:length] == sharing.beginning for each in sharing.members)
            assert all(len(contexts[each]) > length for each in sharing.members)
            saved += length * (len(sharing.members) - 1)
    return saved


@hypothesis.given(CONTEXTS, strategies.integers(1, 3), strategies.integers(1, 6))
@hypothesis.settings(max_examples=40)
def test_no_single_beginning_saves_more(contexts, shortest, worth):
    sharings = find_sharings(contexts, shortest, worth)
    saved = assert_shared(contexts, sharings, shortest, worth)
    assert saved >= saved_by_one(contexts, shortest, worth)


def test_contexts_without_a_longer_beginning_share_a_shorter_one():
    contexts = [(0, 0, 0, 0, 0, 0), (0, 1), (0, 0, 0, 0, 0, 1), (0, 1)]
    sharings = find_sharings(contexts, 1, 1)
    assert sharings == [Sharing((0,) * 5, (0, 2)), Sharing((0,), (1, 3))]
    assert assert_shared(contexts, sharings, 1, 1) == 6
    # A beginning that saves too little is not read.
    assert find_sharings(contexts, 1, 2) == [Sharing((0,) * 5, (0, 2)), Sharing((), (1, 3))]


def test_two_sets_of_demonstrations_after_one_instruction_are_shared_apart():
    instruction, shown = (1, 2, 3, 4), [(5,) * 30, (6,) * 20]
    contexts = [(*instruction, *each, query) for query in range(7, 20) for each in shown]
    contexts += [(*instruction, 90, 91), (92, 93)]
    assert find_sharings(contexts, 4, 100) == [
        Sharing((*instruction, *shown[0]), tuple(range(0, 26, 2))),
        Sharing((*instruction, *shown[1]), tuple(range(1, 26, 2))),
        Sharing((), (26, 27)),
    ]


def test_each_beginning_of_one_long_text_is_no_fault():
    """Ranges then lie inside each other as deep as there are contexts."""
    text = tuple(range(1200))
    contexts = [text[:end] for end in range(1, 1201)]
    members = [sharing.members for sharing in find_sharings(contexts, 16, 1000)]
    assert sorted(number for each in members for number in each) == list(range(1200))


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [((), (), 0), ((1, 2), (1, 3), 1), ((1, 2), (1, 2, 3), 2), ((1, 2), (3, 2), 0)],
)
def test_equal_tokens_are_counted_from_the_start(first, second, length):
    assert shared_length(first, second) == shared_length(second, first) == length

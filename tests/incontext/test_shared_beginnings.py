import hypothesis
import pytest
from hypothesis import strategies

from fsl_jax.incontext.shared_beginnings import Group, group_contexts, shared_length

CONTEXTS = strategies.lists(
    strategies.lists(strategies.integers(0, 1), min_size=1, max_size=6).map(tuple),
    max_size=7,
)


def shared_by(contexts):
    """The longest beginning that leaves each context a token."""
    length = min(map(len, contexts)) - 1
    while len({context[:length] for context in contexts}) > 1:
        length -= 1
    return length


def most_saved(contexts, shortest, worth):
    """The most tokens that any grouping saves, by trying all of them."""
    if not contexts:
        return 0
    first, *rest = contexts
    best = most_saved(rest, shortest, worth)
    for chosen in range(1, 2 ** len(rest)):
        inside = [each for number, each in enumerate(rest) if chosen >> number & 1]
        length = shared_by([first, *inside])
        saved = length * len(inside)
        if length >= shortest and saved >= worth:
            outside = [each for number, each in enumerate(rest) if not chosen >> number & 1]
            best = max(best, saved + most_saved(outside, shortest, worth))
    return best


@hypothesis.given(CONTEXTS, strategies.integers(1, 3), strategies.integers(1, 6))
@hypothesis.settings(max_examples=40)
def test_no_grouping_saves_more(contexts, shortest, worth):
    groups = group_contexts(contexts, shortest, worth)
    members = [number for group in groups for number in group.members]
    assert sorted(members) == list(range(len(contexts)))
    saved = 0
    for group in groups:
        if group.beginning:
            length = len(group.beginning)
            assert length >= shortest
            assert length * (len(group.members) - 1) >= worth
            assert all(contexts[number][:length] == group.beginning for number in group.members)
            assert all(len(contexts[number]) > length for number in group.members)
            saved += length * (len(group.members) - 1)
    assert saved == most_saved(contexts, shortest, worth)


def test_two_sets_of_demonstrations_after_one_instruction_are_two_groups():
    instruction, shown = (1, 2, 3, 4), [(5,) * 30, (6,) * 20]
    contexts = [(*instruction, *each, query) for query in range(7, 20) for each in shown]
    contexts += [(*instruction, 90, 91), (92, 93)]
    assert group_contexts(contexts, 4, 100) == [
        Group((*instruction, *shown[0]), tuple(range(0, 26, 2))),
        Group((*instruction, *shown[1]), tuple(range(1, 26, 2))),
        Group((), (26, 27)),
    ]


def test_each_beginning_of_one_long_text_is_no_fault():
    """Ranges then lie inside each other as deep as there are contexts."""
    text = tuple(range(1200))
    contexts = [text[:end] for end in range(1, 1201)]
    members = [group.members for group in group_contexts(contexts, 16, 1000)]
    assert sorted(number for each in members for number in each) == list(range(1200))


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [((), (), 0), ((1, 2), (1, 3), 1), ((1, 2), (1, 2, 3), 2), ((1, 2), (3, 2), 0)],
)
def test_equal_tokens_are_counted_from_the_start(first, second, length):
    assert shared_length(first, second) == shared_length(second, first) == length

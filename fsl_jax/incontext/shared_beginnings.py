"""Find which contexts share a long beginning that is worth reading once."""

import dataclasses
import itertools
from collections.abc import Sequence

Tokens = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Group:
    """Contexts that share a beginning.

    Attributes:
      beginning: the shared token ids; empty for contexts that are read whole.
      members: the indices of the contexts.
    """

    beginning: Tokens
    members: tuple[int, ...]


def shared_length(first: Tokens, second: Tokens) -> int:
    """Count the leading tokens that are equal."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def group_contexts(contexts: Sequence[Tokens], shortest: int, worth: int) -> list[Group]:
    """Group contexts so that the most tokens are saved by reading shared beginnings once.

    Each context keeps at least one token of its own, since what follows is predicted from its last
    token. Contexts that share beginnings of several lengths, such as an instruction and then one of
    several sets of demonstrations, are grouped by what saves the most.

    Args:
      contexts: token ids.
      shortest: the smallest number of tokens of a beginning.
      worth: the number of tokens that a group must save. Its members are read in batches of their
        own, so a group for every few tokens would leave batches empty.

    Returns:
      The groups; the last one has an empty beginning and the contexts of no other group, if any.
    """
    order = sorted(range(len(contexts)), key=lambda number: contexts[number])
    shared = [
        min(shared_length(contexts[a], contexts[b]), len(contexts[a]) - 1, len(contexts[b]) - 1)
        for a, b in itertools.pairwise(order)
    ]
    shared = [length if length >= shortest else 0 for length in shared]
    groups, alone = [], set(order)
    for first, last, length in _most_saving(shared, worth):
        members = tuple(sorted(order[first : last + 1]))
        groups.append(Group(contexts[members[0]][:length], members))
        alone -= set(members)
    return groups + [Group((), tuple(sorted(alone)))] * bool(alone)


@dataclasses.dataclass
class _Range:
    """A range of contexts in sorted order, from `first` on, that share `length` tokens.

    Attributes besides these:
      saved: the most tokens that are saved in the range.
      groups: by which groups, as first and last context and length.
    """

    first: int
    length: int
    saved: int = 0
    groups: list[tuple[int, int, int]] = dataclasses.field(default_factory=list)

    def add(self, inner: "_Range") -> None:
        """Take over the groups of a range inside this one."""
        self.saved += inner.saved
        self.groups += inner.groups

    def end(self, last: int, worth: int) -> None:
        """Make one group of the whole range if that saves more."""
        together = (last - self.first) * self.length
        if together >= max(worth, self.saved + 1):
            self.saved, self.groups = together, [(self.first, last, self.length)]


def _most_saving(shared: Sequence[int], worth: int) -> list[tuple[int, int, int]]:
    """Return the groups that save the most.

    Ranges of contexts with a common beginning lie inside each other or apart. They are closed from
    the inside, as soon as the next context shares less.

    Args:
      shared: the number of tokens that each context in sorted order shares with the next.
      worth: as for `group_contexts`.

    Returns:
      The first and the last context of each group, and the number of tokens that they share.
    """
    opened: list[_Range] = []
    # After the last context, all ranges end.
    for number, length in enumerate([*shared, -1]):
        inner = _Range(number, 0)
        while opened and opened[-1].length > length:
            outer = opened.pop()
            outer.add(inner)
            outer.end(number, worth)
            inner = outer
        if not opened or opened[-1].length < length:
            opened.append(_Range(inner.first, length))
        opened[-1].add(inner)
    return opened[0].groups

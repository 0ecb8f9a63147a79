"""Find which contexts share a long beginning that is worth reading once."""

import dataclasses
import itertools
from collections.abc import Sequence

Tokens = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Contexts that share a beginning, which is read once for all of them.

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


def find_sharings(contexts: Sequence[Tokens], shortest: int, worth: int) -> list[Sharing]:
    """Find beginnings that save many tokens by being read once.

    Each context keeps at least one token of its own, since what follows is predicted from its last
    token. Contexts that share beginnings of several lengths, such as an instruction and then one of
    several sets of demonstrations, share those that save the most, chosen from the longest to the
    shortest. Together they save at least as many tokens as any one beginning.

    Args:
      contexts: token ids.
      shortest: the smallest number of tokens of a beginning.
      worth: the number of tokens that a beginning must save. Its contexts are read in batches of
        their own, so a beginning for every few tokens would leave batches empty.

    Returns:
      Sharings that have each context once; the last one has an empty beginning and the contexts
      that share none, if any.
    """
    order = sorted(range(len(contexts)), key=lambda number: contexts[number])
    shared = [
        min(shared_length(contexts[a], contexts[b]), len(contexts[a]) - 1, len(contexts[b]) - 1)
        for a, b in itertools.pairwise(order)
    ]
    shared = [length if length >= shortest else 0 for length in shared]
    sharings, alone = [], set(order)
    for length, places in _chosen(shared, worth):
        members = tuple(sorted(order[place] for place in places))
        sharings.append(Sharing(contexts[members[0]][:length], members))
        alone -= set(members)
    return sharings + [Sharing((), tuple(sorted(alone)))] * bool(alone)


@dataclasses.dataclass
class _Range:
    """A range of contexts in sorted order, from `first` on, that share `length` tokens.

    Attributes besides these:
      saved: the number of tokens that are saved in the range.
      chosen: by which beginnings: the length of each, and the contexts that share it.
      rest: the contexts that share none of these.
    """

    first: int
    length: int
    saved: int = 0
    chosen: list[tuple[int, Sequence[int]]] = dataclasses.field(default_factory=list)
    rest: list[int] = dataclasses.field(default_factory=list)

    def add(self, inner: "_Range") -> None:
        """Take over what was chosen in a range inside this one."""
        self.saved += inner.saved
        self.chosen += inner.chosen
        self.rest += inner.rest

    def end(self, last: int, worth: int) -> None:
        """Let the whole range share its beginning, or the rest of it, if that saves more."""
        whole = range(self.first, last + 1)
        by_whole, by_rest = self._saved_by(whole, worth), self._saved_by(self.rest, worth)
        if by_whole > self.saved + by_rest:
            self.saved, self.chosen, self.rest = by_whole, [(self.length, whole)], []
        elif by_rest:
            self.saved += by_rest
            self.chosen.append((self.length, self.rest))
            self.rest = []

    def _saved_by(self, contexts: Sequence[int], worth: int) -> int:
        """Return how many tokens these contexts save if they share; 0 if that is too few."""
        saved = (len(contexts) - 1) * self.length
        return saved if saved >= worth else 0


def _chosen(shared: Sequence[int], worth: int) -> list[tuple[int, Sequence[int]]]:
    """Choose beginnings.

    Ranges of contexts with a common beginning lie inside each other or apart. They are closed from
    the inside, as soon as the next context shares less.

    Args:
      shared: the number of tokens that each context in sorted order shares with the next.
      worth: as for `find_sharings`.

    Returns:
      The length of each beginning, and the places in sorted order of the contexts that share it.
    """
    opened: list[_Range] = []
    # After the last context, all ranges end.
    for number, length in enumerate([*shared, -1]):
        inner = _Range(number, 0, rest=[number])
        while opened and opened[-1].length > length:
            outer = opened.pop()
            outer.add(inner)
            outer.end(number, worth)
            inner = outer
        if not opened or opened[-1].length < length:
            opened.append(_Range(inner.first, length))
        opened[-1].add(inner)
    return opened[0].chosen

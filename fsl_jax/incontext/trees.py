"""Trees: the continuations of one context, whose shared beginnings are read once.

A tree begins with the tokens of the context, each of which follows the one before. Then the
continuations branch out, each without its last token, which is predicted and not read.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Int32

from fsl_jax.incontext.requests import RequestTokens
from fsl_jax.incontext.shared_beginnings import Tokens, shared_length


@dataclasses.dataclass(frozen=True, eq=False)
class Branches:
    """The tokens after a context: N to read, and E edges to score.

    An edge leads from a token to one that may follow it.

    Attributes:
      tokens: the tokens to read, depth-first.
      sizes: the number of tokens of the subtree that begins with each, itself included.
      sources: where each edge begins: `n + 1` for token `n`, and 0 for the last token of the
        context, int32 `[E]`.
      targets: the token id to which each edge leads, int32 `[E]`.
      paths: the edges along each continuation.
    """

    tokens: tuple[int, ...]
    sizes: tuple[int, ...]
    sources: Int32[np.ndarray, " E"]
    targets: Int32[np.ndarray, " E"]
    paths: dict[Tokens, tuple[int, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Tree:
    """A context and its continuations.

    Attributes:
      context: the token ids of the context.
      branches: the continuations.
    """

    context: Tokens
    branches: Branches


def make_trees(requests: Iterable[RequestTokens], most: int) -> list[Tree]:
    """Gather the continuations of each context.

    Args:
      requests: the tokens of requests, of which some may be equal.
      most: about the most tokens that branches read. A context with so many continuations that they
        have more gets several trees.

    Returns:
      The trees. Those with the same continuations share their branches.
    """
    continuations: dict[Tokens, dict[Tokens, None]] = {}
    for request in requests:
        continuations.setdefault(request.context, {})[request.continuation] = None
    made: dict[tuple[Tokens, ...], list[Branches]] = {}
    trees = []
    for context, each in continuations.items():
        ordered = tuple(sorted(each))
        if ordered not in made:
            made[ordered] = [make_branches(part) for part in _parts(ordered, most)]
        trees += [Tree(context, branches) for branches in made[ordered]]
    return trees


def _parts(continuations: Sequence[Tokens], most: int) -> Iterator[list[Tokens]]:
    """Yield the continuations in parts, each with about as many tokens to read, or a single one."""
    part: list[Tokens] = []
    read = 0
    for continuation in continuations:
        previous = part[-1] if part else ()
        shared = min(shared_length(previous, continuation), max(len(previous) - 1, 0))
        read += len(continuation) - 1 - shared
        if part and read > most:
            yield part
            part, read = [], len(continuation) - 1
        part.append(continuation)
    yield part


def make_branches(continuations: Sequence[Tokens]) -> Branches:
    """Join continuations at their shared beginnings.

    Args:
      continuations: token ids, sorted and all different, so that neighbours share the most.

    Returns:
      The branches.
    """
    # Edges are numbered depth-first. The edge before an edge is that of the token before its token.
    before: list[int] = []
    targets: list[int] = []
    paths: dict[Tokens, tuple[int, ...]] = {}
    path: list[int] = []
    previous: Tokens = ()
    for continuation in continuations:
        shared = shared_length(previous, continuation)
        del path[shared:]
        for token in continuation[shared:]:
            before.append(path[-1] if path else -1)
            path.append(len(targets))
            targets.append(token)
        paths[continuation] = tuple(path)
        previous = continuation
    return _without_last_tokens(before, targets, paths)


def _without_last_tokens(
    before: list[int], targets: list[int], paths: dict[Tokens, tuple[int, ...]]
) -> Branches:
    """Read the tokens of the edges that others follow; the other edges end continuations."""
    read = sorted({edge for edge in before if edge >= 0})
    number = {edge: index for index, edge in enumerate(read)}
    sizes = [1] * len(read)
    for edge in reversed(read):
        if before[edge] >= 0:
            sizes[number[before[edge]]] += sizes[number[edge]]
    return Branches(
        tokens=tuple(targets[edge] for edge in read),
        sizes=tuple(sizes),
        sources=np.array([number.get(edge, -1) + 1 for edge in before], np.int32),
        targets=np.array(targets, np.int32),
        paths=paths,
    )

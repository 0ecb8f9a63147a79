import hypothesis
from hypothesis import strategies

from fsl_jax.incontext.requests import RequestTokens
from fsl_jax.incontext.trees import make_branches, make_trees

CONTINUATIONS = strategies.sets(
    strategies.lists(strategies.integers(0, 2), min_size=1, max_size=5).map(tuple), min_size=1
)


def texts_before(branches):
    """Return the tokens between the context and each token, itself included."""
    found, ends = [], []
    for number, (token, size) in enumerate(zip(branches.tokens, branches.sizes, strict=True)):
        above = next((text for text, end in reversed(ends) if number < end), ())
        found.append((*above, token))
        ends.append((found[-1], number + size))
    return found


@hypothesis.given(CONTINUATIONS)
@hypothesis.settings(max_examples=50)
def test_beginnings_are_read_once_and_scored_once(continuations):
    branches = make_branches(sorted(continuations))
    read = texts_before(branches)
    # What is read is all that something follows.
    inner = {each[:end] for each in continuations for end in range(1, len(each))}
    assert read == sorted(inner)
    edges = [
        ((), *read)[source] + (target,)
        for source, target in zip(branches.sources, branches.targets, strict=True)
    ]
    assert len(edges) == len(set(edges))
    assert set(edges) == {each[:end] for each in continuations for end in range(1, len(each) + 1)}
    assert set(branches.paths) == continuations
    for continuation, path in branches.paths.items():
        assert [edges[edge] for edge in path] == [
            continuation[:end] for end in range(1, len(continuation) + 1)
        ]


def test_a_tree_has_the_continuations_of_one_context():
    requests = [
        RequestTokens((1, 2), (3, 4)),
        RequestTokens((1,), (3,)),
        RequestTokens((1, 2), (3, 5)),
        RequestTokens((1, 2), (3, 4)),
        RequestTokens((6,), (3,)),
    ]
    trees = make_trees(requests, most=100)
    assert [tree.context for tree in trees] == [(1, 2), (1,), (6,)]
    assert trees[0].branches.tokens == (3,)
    assert trees[0].branches.targets.tolist() == [3, 4, 5]
    assert trees[1].branches is trees[2].branches


@hypothesis.given(CONTINUATIONS, strategies.integers(1, 6))
@hypothesis.settings(max_examples=50)
def test_very_many_continuations_are_several_trees(continuations, most):
    requests = [RequestTokens((7, 8), each) for each in continuations]
    trees = make_trees(requests, most)
    assert all(tree.context == (7, 8) for tree in trees)
    paths = [continuation for tree in trees for continuation in tree.branches.paths]
    assert paths == sorted(continuations)
    for tree, following in zip(trees, [*trees[1:], None], strict=True):
        branches = tree.branches
        assert len(branches.tokens) <= most or len(branches.paths) == 1
        if following is not None:
            more = [*branches.paths, next(iter(following.branches.paths))]
            assert len(make_branches(more).tokens) > most

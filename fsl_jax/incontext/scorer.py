"""Score continuations: the exact log-probability of every token, after any context.

The continuations of one context form a tree, many trees are packed into rows, and the long
beginning that many contexts share is read once. So all requests cost few more tokens than they
differ in. The scores are those of one request at a time, up to rounding.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.incontext.prefixes import Prefixes
from fsl_jax.incontext.requests import Request, tokenize_requests
from fsl_jax.incontext.shared_beginnings import Sharing
from fsl_jax.incontext.tree_layout import TreeLayout, TreeTokens
from fsl_jax.incontext.tree_rows import fill_tree_rows, place_tree_rows
from fsl_jax.incontext.tree_scores import read_prefix, score_trees
from fsl_jax.incontext.trees import Tree, make_trees
from fsl_jax.models.generation.programs import program
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.placements import Placements
from fsl_jax.packing.windows import BATCH_TOKENS, WINDOW, Packer
from fsl_jax.processes import to_host
from fsl_jax.sharding import device_rows

Edges = tuple[np.ndarray, np.ndarray]
"""The log-probability of each edge of a tree, and whether it is greedy."""

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True)
class Score:
    """The probability of a request's continuation.

    Attributes:
      log_probabilities: the natural logarithm of the probability of each token of the continuation,
        after all tokens before it.
      is_greedy: whether greedy decoding would write the continuation, as in lm-evaluation-harness:
        each of its tokens is the most probable one, and of equally probable ones that with the
        lowest id.
      left_out: the number of tokens at the start of the context for which there was no room.
    """

    log_probabilities: tuple[float, ...]
    is_greedy: bool
    left_out: int = 0

    @property
    def total(self) -> float:
        """The log-probability of the whole continuation."""
        return math.fsum(self.log_probabilities)


def score(
    pretrained: Pretrained,
    requests: Iterable[Request],
    *,
    params: Params | None = None,
    max_length: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    mesh: Mesh | None = None,
) -> list[Score]:
    """Score the continuations of requests.

    Example:
      score(fsl_jax.load("smollm2-135m"), [Request("The sky is", " blue"), Request("2+2=", "4")])

    A `Scorer` scores several lists of requests with the same programs.

    Args:
      pretrained: a language model.
      requests: contexts and continuations.
      params: as for `Scorer`.
      max_length: as for `Scorer`.
      batch_tokens: as for `Scorer`.
      mesh: as for `Scorer`.

    Returns:
      The score of each request.

    Raises:
      InputError: as by `Scorer`.
    """
    scorer = Scorer(pretrained, params, max_length=max_length, batch_tokens=batch_tokens, mesh=mesh)
    return scorer(requests)


class Scorer:
    """Scores requests with one model and one set of parameters.

    It keeps the shapes of its batches, so that later requests whose trees fit into the rows compile
    nothing, and the last few shared beginnings that it read.
    """

    def __init__(
        self,
        pretrained: Pretrained,
        params: Params | None = None,
        *,
        max_length: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        mesh: Mesh | None = None,
    ):
        """Set up the programs, which are compiled when they are first called.

        Args:
          pretrained: a language model.
          params: its parameters, which may have added leaves; by default the model's own.
          max_length: the largest number of tokens that the model is to read of a request, its last
            token not counted; by default as many as it can.
          batch_tokens: about the number of tokens that are read at a time.
          mesh: the mesh, if there are several devices.

        Raises:
          InputError: the model gives no logits of next tokens, or max_length is below 1.
        """
        if not pretrained.is_language_model:
            raise InputError(
                f"{pretrained.name} has no language model's logits, by which continuations are "
                "scored: use a decoder or an encoder-decoder, without another head"
            )
        params = pretrained.params if params is None else params
        self._pretrained = pretrained
        self._reader = PromptReader.for_model(pretrained, params)
        self._params = jax.tree.map(jnp.asarray, params)
        self._mesh = mesh
        self._batch_tokens = batch_tokens
        self._packer = Packer(batch_tokens, device_rows(mesh))
        self._lay_out = TreeLayout(self._reader, params)
        most = self._reader.max_length
        if max_length is not None and max_length < 1:
            raise InputError(f"max_length is {max_length}; give a number of tokens from 1 on")
        self.max_length = most if max_length is None else min(max_length, most)
        self._prefixes = Prefixes(self._read_prefix, most)

    def __call__(
        self, requests: Iterable[Request], on_batch: Callable[[int], None] = lambda done: None
    ) -> list[Score]:
        """Score requests.

        Args:
          requests: contexts and continuations; equal ones are scored once.
          on_batch: called after each batch with the number of trees done so far: one for each
            context, or several for one with very many continuations.

        Returns:
          The score of each request.

        Raises:
          InputError: as by `tokenize_requests`.
        """
        most = min(self.max_length, self._reader.max_decoder_length)
        tokens = tokenize_requests(self._pretrained, requests, self.max_length, most)
        trees = make_trees(tokens, self._batch_tokens)
        edges: dict[int, Edges] = {}
        for scored in self._score(trees):
            edges |= scored
            on_batch(len(edges))
        found = {
            (tree.context, continuation): _along(path, edges[number])
            for number, tree in enumerate(trees)
            for continuation, path in tree.branches.paths.items()
        }
        return [
            Score(*found[each.context, each.continuation], left_out=each.left_out)
            for each in tokens
        ]

    def _score(self, trees: Sequence[Tree]) -> Iterator[dict[int, Edges]]:
        """Yield the scores of the edges of some trees at a time, by the number of the tree."""
        contexts = [tree.context for tree in trees]
        if self._reader.has_encoder:
            # The tokens of an encoder see those that follow them, so no beginning is shared.
            sharings = [Sharing((), tuple(range(len(contexts))))]
        else:
            sharings = self._prefixes.sharings(contexts, worth=self._batch_tokens)
        for sharing in sharings:
            prefix = self._prefixes[sharing.beginning] if sharing.beginning else None
            laid_out = [
                self._lay_out(trees[each], len(sharing.beginning)) for each in sharing.members
            ]
            for first in range(0, len(laid_out), WINDOW):
                for members, scored in self._score_window(laid_out[first : first + WINDOW], prefix):
                    numbers = [sharing.members[first + member] for member in members]
                    yield dict(zip(numbers, scored, strict=True))

    def _score_window(
        self, trees: Sequence[TreeTokens], prefix: KeyValues | None
    ) -> Iterator[tuple[np.ndarray, list[Edges]]]:
        """Yield which trees are in each batch, and the scores of the edges of each."""
        run = program(score_trees, self._reader)

        def start(placements: Placements) -> tuple[Placements, tuple[jax.Array, jax.Array]]:
            rows = place_tree_rows(fill_tree_rows(trees, placements), self._mesh)
            return placements, run(self._params, rows, prefix)

        packed = self._packer.pack(np.array([tree.length for tree in trees], np.int32))
        for placements, started in _one_ahead(map(start, packed)):
            members = placements.examples[placements.weight > 0]
            ends = np.cumsum([len(trees[member].branches.targets) for member in members])
            parts = (np.split(each[: ends[-1]], ends[:-1]) for each in to_host(started))
            yield members, list(zip(*parts, strict=True))

    def _read_prefix(self, ids: jax.Array, mask: jax.Array) -> KeyValues:
        found: KeyValues = program(read_prefix, self._reader)(self._params, ids, mask)
        return found


def _along(path: Sequence[int], edges: Edges) -> tuple[tuple[float, ...], bool]:
    """Return the log-probabilities along a path, and whether all of it is greedy."""
    log_probabilities, greedy = edges
    chosen = list(path)
    return tuple(log_probabilities[chosen].tolist()), bool(greedy[chosen].all())


def _one_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield items, each after the next one was made, so that devices need not wait for the host."""
    last: list[_Item] = []
    for item in items:
        yield from last
        last = [item]
    yield from last

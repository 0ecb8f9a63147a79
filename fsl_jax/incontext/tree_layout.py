"""Lay out trees as a model reads them, with the vectors of soft prompts among their tokens."""

import dataclasses
import functools
from typing import Any

import numpy as np

from fsl_jax.adapt.tree import Params
from fsl_jax.incontext.trees import Branches, Tokens, Tree
from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids
from fsl_jax.models.blocks.suffix_tokens import suffix_length, suffix_tokens
from fsl_jax.models.generation.prompt_reader import PromptReader


@dataclasses.dataclass(frozen=True, eq=False)
class TreeTokens:
    """The tokens of one tree as a model reads them.

    Attributes:
      chain: the tokens before the branches, each of which follows the one before.
      branches: what follows the last token of the chain.
      encoded: the tokens that an encoder reads; none for a decoder.
    """

    chain: tuple[int, ...]
    branches: Branches
    encoded: tuple[int, ...] = ()

    @functools.cached_property
    def tokens(self) -> tuple[int, ...]:
        """All token ids of the tree, depth-first."""
        return self.chain + self.branches.tokens

    @functools.cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of tokens of the subtree that begins with each token."""
        whole, chain = len(self.tokens), len(self.chain)
        return (*range(whole, whole - chain, -1), *self.branches.sizes)

    @property
    def length(self) -> int:
        """The number of tokens that a row needs for the tree, in the longer of two stacks."""
        return max(len(self.tokens), len(self.encoded))


class TreeLayout:
    """Lays out trees for one model and one set of parameters."""

    def __init__(self, reader: PromptReader, params: Params):
        """Find the vectors of soft prompts.

        Args:
          reader: the model.
          params: its parameters, of which the masks of soft prompts are read.
        """
        self._before = _prompt_ids(params)
        self._after = _suffix_ids(params)
        config: Any = reader.pretrained.config
        self._start = (config.decoder_start_token,) if reader.has_encoder else None

    def __call__(self, tree: Tree, shared: int) -> TreeTokens:
        """Lay out a tree.

        Args:
          tree: the tree.
          shared: the number of leading tokens of the context that are read as a prefix, whose keys
            and values include those of a soft prompt before the context.

        Returns:
          Its tokens, without those of the prefix.
        """
        before = () if shared else self._before
        context = (*before, *tree.context[shared:])
        if self._start is not None:
            return TreeTokens(self._start, tree.branches, encoded=context)
        return TreeTokens((*context, *self._after), tree.branches)


def _prompt_ids(params: Params) -> Tokens:
    """Return the ids of the vectors of a soft prompt before the context, without padding."""
    ids = prompt_token_ids(params)
    if not len(ids):
        return ()
    is_real = np.asarray(params["embeddings"]["word"]["prompt_mask"]) > 0
    return tuple(ids[is_real].tolist())


def _suffix_ids(params: Params) -> Tokens:
    """Return the ids of the vectors of a soft prompt after the context, without padding."""
    if not suffix_length(params):
        return ()
    (ids,), (is_real,) = map(np.asarray, suffix_tokens(params, 1))
    return tuple(ids[is_real].tolist())

"""Score label words for many queries, and read the common beginning of all prompts once.

The longest beginning that all prompts share, in tokens, is encoded once. Its keys and values are
reused for every query, so that a query costs no more than its remaining tokens. These are packed
into rows, all of which attend to the beginning.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.buckets import pad_tokens
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.incontext.prefixes import WORTH_SHARING, prefix_length
from fsl_jax.models.outputs import KeyValues
from fsl_jax.packing.batch import Batch
from fsl_jax.packing.pool import segment_lengths
from fsl_jax.packing.rows import fill_rows, place_rows
from fsl_jax.packing.windows import BATCH_TOKENS, Packer
from fsl_jax.processes import to_host
from fsl_jax.sharding import device_rows


@dataclasses.dataclass(frozen=True, eq=False)
class QueryScores:
    """The scores of a model for queries.

    Attributes:
      logits: class logits, float32 `[E, C]`.
      truncated: the number of queries that were cut because they were too long for the model.
      shared_tokens: the number of leading tokens that all prompts share and that were read once.
    """

    logits: np.ndarray
    truncated: int
    shared_tokens: int


class QueryScorer:
    """Scores prompts with one model; its programs are reused for several sets of demonstrations."""

    def __init__(
        self,
        formulation: TemplateFormulation,
        batch_tokens: int = BATCH_TOKENS,
        mesh: Mesh | None = None,
    ):
        """Set up the programs, which are compiled when they are first called.

        Args:
          formulation: turns examples into prompts and label words.
          batch_tokens: about the number of tokens that are read at a time.
          mesh: the mesh, if there are several devices.
        """
        self.formulation = formulation
        self._mesh = mesh
        width = formulation.slot_width(formulation.pretrained.params)
        self._packer = Packer(batch_tokens, device_rows(mesh), width)
        self._read = jit(self._read_prefix)
        self._score = jit(self._score_rows)

    def __call__(
        self,
        params: Params,
        queries: Sequence[Example],
        context: str = "",
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> QueryScores:
        """Score the classes of queries.

        Args:
          params: the model's parameters.
          queries: E examples, whose labels are not read.
          context: text before each query, such as demonstrations.
          on_batch: called after each batch with the number of queries scored so far.

        Returns:
          The scores.
        """
        tokenized = self.formulation.tokenize(queries, context)
        tokens = tokenized.tokens
        shared = shared_beginning(self.formulation, tokens)
        remaining = [ids[shared:] for ids in tokens]
        prefix = self._read(params, *self._padded(tokens[0][:shared])) if shared else None
        logits = np.zeros((len(queries), len(self.formulation.labels)), np.float32)
        segments = self.formulation.segments(params, remaining, after_prefix=shared > 0)
        scored = 0
        for placements in self._packer.pack(segment_lengths(segments)):
            batch = place_rows(fill_rows(segments, placements), self._mesh)
            found, counts = to_host(self._score(params, batch, prefix)), placements.weight > 0
            logits[placements.examples[counts]] = found[counts]
            scored += int(counts.sum())
            on_batch(scored)
        return QueryScores(logits, tokenized.truncated, shared)

    def _score_rows(self, params: Params, batch: Batch, prefix: KeyValues | None) -> jax.Array:
        return self.formulation.outputs(params, batch, prefix=prefix)

    def _read_prefix(self, params: Params, ids: jax.Array, mask: jax.Array) -> KeyValues | None:
        return self.formulation.pretrained.apply(params, ids, mask, unembed=False).key_values

    def _padded(self, ids: Sequence[int]) -> tuple[jax.Array, jax.Array]:
        length = prefix_length(len(ids), self.formulation.limit)
        padded, mask = pad_tokens([ids], length, 0)
        return jnp.asarray(padded), jnp.asarray(mask)


def shared_beginning(formulation: TemplateFormulation, tokens: Sequence[Sequence[int]]) -> int:
    """Count the leading tokens that all prompts share, if it pays to read them once.

    Args:
      formulation: the formulation that made the prompts.
      tokens: token ids of prompts.

    Returns:
      The number of tokens; 0 if they are too few. Also 0 for an encoder-decoder, since tokens in
      its encoder attend to those that follow them.
    """
    shared = 0 if formulation.pretrained.config.is_encoder_decoder else common_prefix(tokens)
    return shared if shared >= WORTH_SHARING else 0


def common_prefix(tokens: Sequence[Sequence[int]]) -> int:
    """Count the leading tokens that all prompts share, leaving at least one token in each.

    Args:
      tokens: token ids of prompts.

    Returns:
      The number of shared tokens.
    """
    columns = zip(*tokens, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    return max(min(shared, min(map(len, tokens)) - 1), 0)

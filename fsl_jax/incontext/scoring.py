"""Scoring label words for many queries; what all prompts share is read once.

The longest beginning that all prompts have in common, as tokens, is encoded once and its keys and
values are reused for every query, so that a query costs no more than its own tokens.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.tree import Params
from fsl_jax.buckets import bucket_length, pad_tokens
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.models.outputs import KeyValues
from fsl_jax.processes import to_host
from fsl_jax.sharding import place_examples
from fsl_jax.tasks.encoding import batches_by_length, pad_id
from fsl_jax.tasks.template_formulation import TemplateFormulation

PREFIX_STEP = 256

WORTH_SHARING = 16
"""A shorter beginning, such as that of a template, costs more as a program of its own."""


@dataclasses.dataclass(frozen=True, eq=False)
class Scored:
    """What a model said to the queries.

    Attributes:
      logits: float32 `[E, C]`.
      truncated: how many queries were longer than the model takes and were cut.
      shared_tokens: how many tokens all prompts had in common and were read once.
    """

    logits: np.ndarray
    truncated: int
    shared_tokens: int


class Scorer:
    """Scores prompts with one model; what it compiles serves several sets of demonstrations."""

    def __init__(
        self, formulation: TemplateFormulation, batch_size: int = 16, mesh: Mesh | None = None
    ):
        """Prepares a scorer.

        Args:
          formulation: how examples become prompts and label words.
          batch_size: how many queries are read at a time.
          mesh: the mesh, if there are several devices.
        """
        self.formulation = formulation
        self.batch_size = batch_size
        self._mesh = mesh
        self._read = jit(self._read_prefix)
        self._score: Callable[..., jax.Array] = jit(
            lambda params, batch, prefix: formulation.logits(params, batch, prefix=prefix)
        )

    def __call__(
        self,
        params: Params,
        queries: Sequence[Example],
        context: str = "",
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> Scored:
        """Scores the classes of queries.

        Args:
          params: the model's parameters.
          queries: E examples, whose labels are not looked at.
          context: what stands before each query, such as demonstrations.
          on_batch: called after each batch with how many queries are done.

        Returns:
          The class logits, with what was cut and shared.
        """
        tokens, truncated = self.formulation.tokenize(queries, context)
        shared = shared_beginning(self.formulation, tokens)
        own = [ids[shared:] for ids in tokens]
        limit, done = self.formulation.limit - shared, 0
        # Prefix and query are padded so that the two together stay within what the model reads.
        room = self.formulation.limit - bucket_length(max(map(len, own)), limit)
        prefix = self._read(params, *self._padded(tokens[0][:shared], room)) if shared else None
        logits = np.zeros((len(queries), len(self.formulation.labels)), np.float32)
        for rows, arrays in batches_by_length(
            own, self.batch_size, limit, pad_id(self.formulation)
        ):
            batch = place_examples(arrays, self._mesh)
            logits[rows] = to_host(self._score(params, batch, prefix))[: len(rows)]
            done += len(rows)
            on_batch(done)
        return Scored(logits, truncated, shared)

    def _read_prefix(self, params: Params, ids: jax.Array, mask: jax.Array) -> KeyValues | None:
        return self.formulation.pretrained.apply(params, ids, mask, unembed=False).key_values

    def _padded(self, ids: list[int], room: int) -> tuple[jax.Array, jax.Array]:
        length = prefix_length(len(ids), room)
        padded, mask = pad_tokens([ids], length, pad_id(self.formulation))
        return jnp.asarray(padded), jnp.asarray(mask)


def prefix_length(tokens: int, room: int) -> int:
    """The length that a prefix is padded to: one of a few, since programs are compiled for each.

    Long ones lie closer together than the lengths of buckets, since every query attends to the
    padding too.

    Args:
      tokens: how many tokens the prefix has.
      room: the most that it can be padded to.

    Returns:
      The length.
    """
    if tokens <= PREFIX_STEP:
        return bucket_length(tokens, min(PREFIX_STEP, room))
    return min(-(-tokens // PREFIX_STEP) * PREFIX_STEP, room)


def shared_beginning(formulation: TemplateFormulation, tokens: Sequence[Sequence[int]]) -> int:
    """How many tokens prompts have in common that are worth being read once.

    Args:
      formulation: how the prompts were made.
      tokens: token ids of prompts.

    Returns:
      The number of tokens; 0 of an encoder-decoder, whose encoder's tokens see what follows them.
    """
    shared = 0 if formulation.pretrained.config.is_encoder_decoder else common_prefix(tokens)
    return shared if shared >= WORTH_SHARING else 0


def common_prefix(tokens: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with in common, leaving each at least one of its own.

    Args:
      tokens: token ids of prompts.

    Returns:
      The number of shared tokens.
    """
    columns = zip(*tokens, strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    return max(min(shared, min(map(len, tokens)) - 1), 0)

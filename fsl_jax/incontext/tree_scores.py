"""Read packed trees with a model and score their edges, in one compiled program."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.adapt.tree import Params
from fsl_jax.incontext.tree_rows import CHUNK, TreeRows
from fsl_jax.models.attention.segments import seen_before
from fsl_jax.models.attention.trees import tree_depths, tree_mask
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained


def read_prefix(
    reader: PromptReader, params: Params, ids: Int[Array, "1 P"], mask: Bool[Array, "1 P"]
) -> KeyValues:
    """Return the keys and values of a shared beginning, after those of a soft prompt."""
    return reader.pretrained.apply(params, ids, mask, unembed=False).key_values


def score_trees(
    reader: PromptReader, params: Params, rows: TreeRows, prefix: KeyValues | None
) -> tuple[Float[Array, " E"], Bool[Array, " E"]]:
    """Score the edges of packed trees.

    Args:
      reader: the model.
      params: its parameters.
      rows: the trees.
      prefix: keys and values of the tokens before every tree, with batch 1, for a decoder.

    Returns:
      The log-probability of each edge's target after its source, and whether it is the most
      probable token there: of equally probable ones, that with the lowest id.
    """
    pretrained = reader.pretrained
    hidden = _hidden(pretrained, params, rows, prefix)
    hidden = hidden.reshape(-1, hidden.shape[-1])

    def score_chunk(number: Array, scored: tuple[Array, Array]) -> tuple[Array, Array]:
        first = number * CHUNK
        places = jax.lax.dynamic_slice_in_dim(rows.sources, first, CHUNK)
        logits = pretrained.unembed(params, hidden[places])
        row = rows.edge_sources - first
        inside, row = (row >= 0) & (row < CHUNK), jnp.clip(row, 0, CHUNK - 1)
        found = logits[row, rows.edge_targets] - jax.nn.logsumexp(logits, axis=-1)[row]
        greedy = jnp.argmax(logits, axis=-1)[row] == rows.edge_targets
        return jnp.where(inside, found, scored[0]), jnp.where(inside, greedy, scored[1])

    edges = rows.edge_targets.shape
    nothing = jnp.zeros(edges, jnp.float32), jnp.zeros(edges, bool)
    # The number of chunks is no part of the program's shape, so padding costs nothing.
    return jax.lax.fori_loop(0, -(-rows.count // CHUNK), score_chunk, nothing)


def _hidden(
    pretrained: Pretrained, params: Params, rows: TreeRows, prefix: KeyValues | None
) -> Float[Array, "R T D"]:
    """Return the hidden states of all tokens of the trees."""
    mask = tree_mask(rows.sizes)
    positions = tree_depths(mask)
    if pretrained.config.is_encoder_decoder:
        return pretrained.apply(
            params,
            rows.encoder_ids,
            rows.encoder_segments > 0,
            segment_ids=rows.encoder_segments,
            decoder_input_ids=rows.input_ids,
            decoder_attention_mask=mask,
            decoder_position_ids=positions,
            decoder_segment_ids=rows.segment_ids,
            unembed=False,
        ).hidden
    if prefix is None:
        # The model counts the vectors of a soft prompt, which are tokens of the trees.
        positions = jnp.maximum(positions - _real_prompt(params), 0)
    else:
        before = seen_before(rows.segment_ids, prefix)
        mask = jnp.concatenate([before, mask], axis=2)
        positions += jnp.sum(before, axis=2, dtype=jnp.int32)
    return pretrained.apply(
        params,
        rows.input_ids,
        mask,
        position_ids=positions,
        segment_ids=rows.segment_ids,
        prefix=prefix,
        unembed=False,
    ).hidden


def _real_prompt(params: Params) -> Int[Array, ""]:
    """Return the number of a soft prompt's vectors that are not padding."""
    if not prompt_length(params):
        return jnp.int32(0)
    return jnp.sum(params["embeddings"]["word"]["prompt_mask"] > 0, dtype=jnp.int32)

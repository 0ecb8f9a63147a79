"""Lengths, masks and positions of soft prompts and learned prefixes."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.prompt_positions import (
    decoder_prefix_length,
    prefix_count,
    prefix_length,
    prefix_positions,
    prepend_prompt,
    prompt_length,
    reserved_positions,
)

PROMPT_MASK = jnp.array([1.0, 1, 0])
MASK = jnp.array([[True, True], [True, False]])


def test_lengths_count_padding_and_numbers_of_vectors_do_not():
    assert reserved_positions({}) == 0
    assert prefix_count({"layers": {"attention": {}}}) is None
    none, some = jnp.zeros((0, 3)), jnp.array([[1.0, 1, 0]] * 2)
    params = {
        "embeddings": {"word": {"prompt": jnp.zeros((5, 4))}},
        "layers": {"attention": {"prefix_mask": none}},
        "top_layers": {"attention": {"prefix_mask": some}},
    }
    assert (prompt_length(params), prefix_length(params), reserved_positions(params)) == (5, 3, 8)
    assert int(prefix_count(params)) == 2
    assert prefix_positions(params).tolist() == [[0, 1, 1]]


def test_a_decoders_prefix_takes_nothing_from_what_an_encoder_reads():
    layers = {"attention": {"prefix_mask": jnp.ones((2, 3))}}
    params = {"decoder": {"layers": layers}, "encoder": {"layers": {"attention": {}}}}
    assert (reserved_positions(params), decoder_prefix_length(params)) == (0, 3)
    assert decoder_prefix_length({"layers": layers}) == 0


def test_a_mask_of_tokens_begins_with_the_prompts():
    mask, positions = prepend_prompt(PROMPT_MASK, MASK, None, causal=True)
    assert positions is None
    assert mask.tolist() == [[True, True, False, True, True], [True, True, False, True, False]]
    _, positions = prepend_prompt(PROMPT_MASK, MASK, jnp.array([[0, 1], [4, 4]]), causal=True)
    assert positions.tolist() == [[0, 1, 1, 2, 3], [0, 1, 1, 6, 6]]
    _, positions = prepend_prompt(PROMPT_MASK, MASK, jnp.array([[0, 1]]), causal=False)
    assert positions.tolist() == [[0, 1, 1, 2, 3]]


@pytest.mark.parametrize(
    ("causal", "prompt_rows"),
    [(True, ["1....", "11...", "11..."]), (False, ["11.11", "11.11", "11.11"])],
)
def test_tokens_see_the_prompt_and_it_sees_them_unless_they_are_ahead(causal, prompt_rows):
    pairs = jnp.array([[[True, False], [True, True]]])
    positions = jnp.array([[0, 1]])
    mask, _ = prepend_prompt(PROMPT_MASK, pairs, positions, causal)
    shown = ["".join(".1"[int(seen)] for seen in row) for row in np.asarray(mask[0])]
    assert shown == [*prompt_rows, "11.1.", "11.11"]

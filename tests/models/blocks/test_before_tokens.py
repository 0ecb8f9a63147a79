"""What an adaptation puts before the tokens: how much, who sees it, where tokens then stand."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.before_tokens import (
    decoder_prefix_length,
    length_before,
    make_room,
    prefix_count,
    prefix_length,
    prefix_places,
    prompt_length,
)

PROMPT_MASK = jnp.array([1.0, 1, 0])
MASK = jnp.array([[True, True], [True, False]])


def test_lengths_count_padding_and_numbers_of_vectors_do_not():
    assert length_before({}) == 0
    assert prefix_count({"layers": {"attention": {}}}) is None
    none, some = jnp.zeros((0, 3)), jnp.array([[1.0, 1, 0]] * 2)
    params = {
        "embeddings": {"word": {"prompt": jnp.zeros((5, 4))}},
        "layers": {"attention": {"prefix_mask": none}},
        "top_layers": {"attention": {"prefix_mask": some}},
    }
    assert (prompt_length(params), prefix_length(params), length_before(params)) == (5, 3, 8)
    assert int(prefix_count(params)) == 2
    assert prefix_places(params).tolist() == [[0, 1, 1]]


def test_a_decoders_prefix_takes_nothing_from_what_an_encoder_reads():
    layers = {"attention": {"prefix_mask": jnp.ones((2, 3))}}
    params = {"decoder": {"layers": layers}, "encoder": {"layers": {"attention": {}}}}
    assert (length_before(params), decoder_prefix_length(params)) == (0, 3)
    assert decoder_prefix_length({"layers": layers}) == 0


def test_a_mask_of_tokens_begins_with_the_prompts():
    mask, positions = make_room(PROMPT_MASK, MASK, None, causal=True)
    assert positions is None
    assert mask.tolist() == [[True, True, False, True, True], [True, True, False, True, False]]
    _, positions = make_room(PROMPT_MASK, MASK, jnp.array([[0, 1], [4, 4]]), causal=True)
    assert positions.tolist() == [[0, 1, 1, 2, 3], [0, 1, 1, 6, 6]]
    _, positions = make_room(PROMPT_MASK, MASK, jnp.array([[0, 1]]), causal=False)
    assert positions.tolist() == [[0, 1, 1, 2, 3]]


@pytest.mark.parametrize(
    ("causal", "prompt_rows"),
    [(True, ["1....", "11...", "11..."]), (False, ["11.11", "11.11", "11.11"])],
)
def test_tokens_see_the_prompt_and_it_sees_them_unless_they_are_ahead(causal, prompt_rows):
    pairs = jnp.array([[[True, False], [True, True]]])
    places = jnp.array([[0, 1]])
    mask, _ = make_room(PROMPT_MASK, pairs, places, causal)
    shown = ["".join(".1"[int(seen)] for seen in row) for row in np.asarray(mask[0])]
    assert shown == [*prompt_rows, "11.1.", "11.11"]

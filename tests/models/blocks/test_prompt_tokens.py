"""The vectors of a soft prompt as tokens: their ids, what hides their padding, their positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models import prompt_token_ids
from fsl_jax.models.blocks.embedding import Embedding
from fsl_jax.models.blocks.prompt_tokens import hide_padding, positions_after_prompt

TABLE, PROMPT, SUFFIX = (
    jnp.full((rows, 2), first, jnp.float32) + jnp.arange(float(rows))[:, None]
    for rows, first in ((5, 0), (3, 100), (2, 200))
)
BOTH = {
    "embedding": TABLE,
    "prompt": PROMPT,
    "prompt_mask": jnp.array([1.0, 0, 1]),
    "suffix": SUFFIX,
    "suffix_mask": jnp.array([1.0, 0]),
}
PROMPT_ALONE = {name: leaf for name, leaf in BOTH.items() if "suffix" not in name}
IDS = jnp.array([[7, 8, 9, 4, 0, 5, 6]])


def tree(word):
    return {"embeddings": {"word": word}}


@pytest.mark.parametrize(("word", "first"), [(BOTH, 7), (PROMPT_ALONE, 5)])
def test_ids_follow_those_of_words_and_of_a_suffix(word, first):
    ids = prompt_token_ids(tree(word))
    assert ids.dtype == np.int32
    assert ids.tolist() == [first, first + 1, first + 2]
    assert prompt_token_ids(jax.eval_shape(lambda: tree(word))).tolist() == ids.tolist()
    table = Embedding(5, 2, jnp.dtype("float32"))
    tokens = jnp.concatenate([jnp.array([3]), jnp.asarray(ids)])[None]
    found = table.apply({"params": word}, tokens)
    assert found[0, :, 0].tolist() == [3, 100, 101, 102]


def test_without_a_prompt_there_are_no_ids_and_nothing_changes():
    params, mask = tree({"embedding": TABLE}), jnp.ones((1, 7), bool)
    assert prompt_token_ids(params).shape == (0,)
    assert hide_padding(params, IDS, mask) is mask
    assert positions_after_prompt(params, IDS, IDS) is IDS
    assert positions_after_prompt(tree(BOTH), IDS, None) is None


def test_padding_of_prompts_and_suffixes_is_hidden_from_all():
    shown = [1, 0, 1, 1, 1, 1, 0]
    mask = jnp.array([[1, 1, 1, 1, 0, 1, 1]], bool)
    expected = [one and bool(other) for one, other in zip(mask[0].tolist(), shown, strict=True)]
    assert hide_padding(tree(BOTH), IDS, mask).tolist() == [expected]
    pairs = hide_padding(tree(BOTH), IDS, jnp.ones((1, 7, 9), bool))
    assert (np.asarray(pairs) == np.array([1, 1, *shown], bool)).all()


def test_texts_are_moved_behind_the_real_vectors_of_a_prompt():
    given = jnp.array([[9, 9, 9, 0, 1, 2, 3]])
    found = positions_after_prompt(tree(BOTH), IDS, given)
    assert found.tolist() == [[0, 0, 1, 2, 3, 4, 5]]


def test_vectors_of_words_and_of_prompts_get_the_gradients_of_their_places():
    table = Embedding(5, 2, jnp.dtype("float32"))

    def total(word):
        vectors = table.apply({"params": word}, IDS)
        return jnp.sum(vectors * (1.0 + jnp.arange(7.0))[None, :, None])

    gradient = jax.jit(jax.grad(total))(BOTH)
    assert gradient["prompt"][:, 0].tolist() == [1, 2, 3]
    assert gradient["suffix"][:, 0].tolist() == [6, 7]
    assert gradient["embedding"][:, 0].tolist() == [5, 0, 0, 0, 4]

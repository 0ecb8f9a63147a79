"""A suffix: where it stands, that it is as if its words stood there, and who takes one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.errors import InputError
from fsl_jax.models import append_suffix, generate
from fsl_jax.models.blocks.suffix_tokens import suffix_length

IDS = np.arange(10, dtype=np.int32).reshape(2, 5)
MASK = np.array([[True] * 5, [False, True, True, True, False]])
WORDS = np.array([7, 8, 9], np.int32)


def with_words(pretrained, mask=(1, 1, 1)):
    """Parameters whose suffix is the vectors of words, and perhaps padding."""
    words = pretrained.params["embeddings"]["word"]["embedding"][WORDS]
    suffix = jnp.zeros((len(mask), words.shape[1])).at[:3].set(words)
    leaves = {"suffix": suffix, "suffix_mask": jnp.array(mask, jnp.float32)}
    return with_word_leaves(pretrained.params, leaves)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_a_suffix_of_words_is_as_if_they_stood_after_every_text(tiny_bases, family):
    base = tiny_bases[family]
    read = jax.jit(lambda params, *text: base.apply(params, *text).logits)
    expected = read(
        base.params,
        np.concatenate([IDS, np.tile(WORDS, (2, 1))], axis=1),
        np.concatenate([MASK, np.ones((2, 3), bool)], axis=1),
    )
    params = with_words(base, (1, 1, 1, 0))
    ids, mask = append_suffix(params, IDS, MASK)
    assert ids.shape == mask.shape == (2, 9)
    assert not mask[:, 8].any()
    found = read(params, ids, mask)[:, :8]
    seen = np.asarray(mask[:, :8])
    np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-5, atol=1e-5)


def test_a_text_that_is_too_long_is_told_what_room_the_suffix_takes(tiny_bases):
    base = tiny_bases["llama"]
    params = with_words(base)
    ids, mask = np.ones((1, 31), np.int32), np.ones((1, 31), bool)
    with pytest.raises(InputError, match=r"34 tokens are more .* to 29 tokens, which leaves room"):
        base.apply(params, *append_suffix(params, ids, mask))


def test_without_a_suffix_texts_are_as_they_were(tiny_bases):
    params = tiny_bases["llama"].params
    assert suffix_length(params) == 0
    ids, mask = append_suffix(params, IDS, MASK)
    np.testing.assert_array_equal(ids, IDS)
    np.testing.assert_array_equal(mask, MASK)


def test_a_mask_of_pairs_is_refused(tiny_bases):
    with pytest.raises(InputError, match=r"whose attention_mask is \[B, T\]; found.*\[2, 5, 5\]"):
        append_suffix(with_words(tiny_bases["llama"]), IDS, np.ones((2, 5, 5), bool))


def test_words_after_a_prompt_are_continued_as_in_it(tiny_bases):
    base = tiny_bases["llama"]
    prompts = ["Topic w30", "w20 w21 w22 w23"]
    words = [base.tokenizer.decode([token]) for token in WORDS]
    params = with_words(base, (1, 1, 1, 0))
    for options in ({}, {"num_beams": 2}):
        expected = generate(
            base, [f"{text} {' '.join(words)}" for text in prompts], max_new_tokens=5, **options
        )
        found = generate(base, prompts, params=params, max_new_tokens=5, **options)
        assert [each.tokens for [each] in found] == [each.tokens for [each] in expected]


def test_a_continuation_has_room_beside_the_suffix(tiny_bases):
    base = tiny_bases["llama"]
    longest = base.config.max_length
    with pytest.raises(InputError, match=f"longest sequence, which is {longest - 3}"):
        generate(base, ["Topic"], params=with_words(base), max_new_tokens=longest - 3)

"""Generation after what an adaptation puts before the tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import PTuningV2
from fsl_jax.adapt.soft_prompt import with_word_leaves
from fsl_jax.errors import InputError
from fsl_jax.models.generation.generate import generate

pytestmark = pytest.mark.usefixtures("quick_compilation")

PROMPTS = ["w20 w21", "w25 w3 w4 w9 w30"]


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}], ids=["greedy", "beams"])
def test_a_prompt_of_words_is_as_if_they_stood_in_the_text(tiny_bases, options):
    base = tiny_bases["gemma2"]
    table = base.params["embeddings"]["word"]["embedding"]
    prompt = jnp.concatenate([table[jnp.array([40, 41, 42])], jnp.zeros((1, table.shape[1]))])
    leaves = {"prompt": prompt, "prompt_mask": jnp.array([1.0, 1, 1, 0])}
    params = with_word_leaves(base.params, leaves)
    found = generate(base, PROMPTS, params=params, max_new_tokens=5, **options)
    written = [f"w30 w31 w32 {text}" for text in PROMPTS]
    expected = generate(base, written, max_new_tokens=5, **options)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[0].tokens == theirs[0].tokens
        np.testing.assert_allclose(ours[0].score, theirs[0].score, rtol=1e-4)


def test_every_token_sees_a_learned_prefix(tiny_bases):
    base = tiny_bases["gemma2"]
    params = PTuningV2(4).extend(base.params, jax.random.key(0))
    attention = params["layers"]["attention"]
    for name in ("prefix_key", "prefix_value"):
        attention[name] = 50 * attention[name]
    [[found]] = generate(base, PROMPTS[:1], params=params, max_new_tokens=6)
    [[plain]] = generate(base, PROMPTS[:1], max_new_tokens=6)
    assert found.tokens != plain.tokens
    ids = np.array([[30, 31, *found.tokens]], np.int32)
    logits = jax.jit(base.apply)(params, ids, np.ones(ids.shape, bool)).logits[0]
    assert found.tokens == tuple(np.argmax(logits[1:-1], axis=-1).tolist())
    chosen = jax.nn.log_softmax(logits)[np.arange(1, len(ids[0]) - 1), ids[0, 2:]]
    np.testing.assert_allclose(found.score, chosen.sum(), rtol=1e-4)


def test_what_stands_before_takes_from_the_room_there_is(tiny_bases):
    base = tiny_bases["llama"]
    params = PTuningV2(20).extend(base.params, jax.random.key(0))
    with pytest.raises(InputError, match="longest sequence, which is 12"):
        generate(base, PROMPTS, params=params, max_new_tokens=10)

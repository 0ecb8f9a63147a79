"""Generation with another adapter for each prompt: the tokens of each are those it gives alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import attach, parse_method, row_params, stack_adapters
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import module_of
from fsl_jax.models.generation.generate import generate

TEXTS = (
    "lora(2)",
    "ia3",
    "prompt_tuning(3)",
    "prefix_tuning(2, hidden=4)",
    "prompt_tuning(2, position='suffix')",
)
PROMPTS = ["w20 w21 w7", "w25 w3 w4 w9 w30", "w20", "w8 w9", "w40 w41 w42", "w11 w3 w12 w5"]
INDEX = np.array([2, 0, -1, 3, 1, 2], np.int32)


@pytest.fixture(scope="module")
def sliding(tiny_bases):
    """A model all layers of which have a window."""
    llama = tiny_bases["llama"]
    config = dataclasses.replace(llama.config, window=6, sliding=(True, True))
    return dataclasses.replace(llama, config=config, module=module_of(config))


@pytest.fixture
def require_those_of_each_alone(adapted):
    """Checks that each prompt is continued as its own adapter does alone."""

    def require(base, texts, index, **options):
        trees = [adapted(base, text, seed, scale=0.5) for seed, text in enumerate(texts)]
        rows = row_params(base, base.params, stack_adapters(trees, base), index)
        found = generate(base, PROMPTS, params=rows, max_new_tokens=6, batch_size=4, **options)
        together = {each.tokens for row in found for each in row}
        for place, number in enumerate(index.tolist()):
            params = base.params if number < 0 else trees[number]
            [expected] = generate(
                base, PROMPTS[place : place + 1], params=params, max_new_tokens=6, **options
            )
            assert [each.tokens for each in found[place]] == [each.tokens for each in expected]
            scores = [[each.score for each in row] for row in (found[place], expected)]
            np.testing.assert_allclose(*scores, rtol=1e-4)
        assert len(together) >= len(set(index.tolist()))

    return require


def test_each_prompt_is_continued_with_its_own_adapter(tiny_bases, require_those_of_each_alone):
    require_those_of_each_alone(tiny_bases["llama"], TEXTS[:4], INDEX)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 3, "num_return_sequences": 2},
        {"temperature": 1.0, "num_return_sequences": 2, "repetition_penalty": 1.5},
    ],
    ids=["beams", "samples"],
)
def test_all_continuations_of_a_prompt_have_its_adapter(
    tiny_bases, options, require_those_of_each_alone
):
    index = np.array([0, 1, -1, 0, 1, 0], np.int32)
    require_those_of_each_alone(tiny_bases["gemma2"], ("lora(2)", TEXTS[3]), index, **options)


def test_a_suffix_of_some_prompts_takes_no_room_in_the_window_of_others(
    sliding, require_those_of_each_alone
):
    index = np.array([0, -1, 1, 0, 1, -1], np.int32)
    require_those_of_each_alone(sliding, (TEXTS[4], "lora(2)"), index)


@pytest.mark.soak
def test_an_encoder_decoder_writes_with_an_adapter_for_each_prompt(
    save_and_load, tiny_tokenizer, require_those_of_each_alone
):
    sizes = {"vocab_size": 64, "d_model": 16, "d_kv": 4, "d_ff": 40, "num_layers": 2}
    others = {"num_heads": 4, "decoder_start_token_id": 0, "n_positions": 32}
    base = save_and_load("t5", tiny_tokenizer, **sizes, **others)[0]
    texts = ("ia3", "prompt_tuning(2)", "p_tuning_v2(3)", "lora(2, dora=True)")
    require_those_of_each_alone(base, texts, INDEX)


@pytest.mark.parametrize("text", ["prefix_tuning(2, hidden=4)", "lora(2, start='pissa')"])
def test_adapters_continue_prompts_as_they_are_trained(tiny_bases, move, text):
    base, method = tiny_bases["llama"], parse_method(text)
    trees = []
    for seed in range(2):
        params, mask = attach(base.params, method, jax.random.key(seed))
        trees.append(move(params, mask, seed, scale=0.5))
    added = [
        {path: leaf for path, leaf in flatten(tree).items() if path not in flatten(base.params)}
        for tree in trees
    ]
    stacked = unflatten({path: jnp.stack([own[path] for own in added]) for path in added[0]})
    rows = row_params(
        base, base.params, stacked, np.array([0, 1]), reparametrize=method.reparametrize
    )
    found = generate(base, PROMPTS[:2], params=rows, max_new_tokens=6)
    for place, tree in enumerate(trees):
        params = method.reparametrize(tree)
        [expected] = generate(base, PROMPTS[place : place + 1], params=params, max_new_tokens=6)
        assert found[place][0].tokens == expected[0].tokens


def test_parameters_for_other_rows_than_there_are_prompts_are_an_error(tiny_bases, adapted):
    base = tiny_bases["llama"]
    stacked = stack_adapters([adapted(base, "ia3")], base)
    rows = row_params(base, base.params, stacked, np.array([0, -1]))
    with pytest.raises(InputError, match="there are 1 prompts, and params are those of 2 rows"):
        generate(base, PROMPTS[:1], params=rows)

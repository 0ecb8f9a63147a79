import dataclasses

import numpy as np
import pytest

from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.prompts import (
    batches,
    length_problems,
    row_seeds,
    tokenize_prompts,
)

TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{{ m['content'] }} 7 {% endfor %}{% if add_generation_prompt %}9{% endif %}"
)


@pytest.fixture
def chatty(tiny_llama):
    tokenizer = type(tiny_llama.tokenizer)(
        tokenizer_object=tiny_llama.tokenizer.backend_tokenizer,
        unk_token="[UNK]",
        chat_template=TEMPLATE,
    )
    return dataclasses.replace(tiny_llama, tokenizer=tokenizer)


@pytest.fixture
def settings(greedy):
    return dataclasses.replace(greedy, max_new_tokens=4, batch_size=4)


def test_a_chat_is_put_into_the_template(chatty):
    problems = []
    conversation = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
    encoded = tokenize_prompts(chatty, ["4 5", conversation], True, problems)
    assert not problems
    words = [chatty.tokenizer.convert_ids_to_tokens(ids) for ids in encoded]
    assert words == [["4", "5", "7", "9"], ["1", "7", "2", "7", "9"]]


def test_what_is_no_prompt_is_said(chatty, tiny_llama):
    problems = []
    tokenize_prompts(chatty, ["3", [{"role": "system", "content": "1"}]], True, problems)
    assert problems == ["prompt 1: the chat template refuses it: no system"]
    problems.clear()
    tokenize_prompts(chatty, ["3", "", [{"role": "user", "content": "1"}]], False, problems)
    assert sorted(each[:8] for each in problems) == ["prompt 1", "prompt 2"]
    problems.clear()
    tokenize_prompts(tiny_llama, ["3"], True, problems)
    assert "no chat template" in problems[0]


def test_prompts_leave_positions_for_what_follows(tiny_llama):
    """The model's longest sequence is 24 tokens."""
    reader = PromptReader.for_model(tiny_llama)
    assert length_problems(reader, [[1] * 20, [1] * 3], 4) == []
    [problem] = length_problems(reader, [[1] * 3, [1] * 21], 4)
    assert problem.startswith("prompt 1 has 21 tokens")
    assert "max_new_tokens is 4" in problem
    assert "which is 24. Shorten it, or give max_new_tokens of at most 3" in problem
    [problem] = length_problems(reader, [[1] * 24], 1)
    assert problem.endswith("which is 24. Shorten it")


@pytest.mark.parametrize("longest", range(1, 21))
def test_batches_have_few_shapes_within_the_longest_sequence(tiny_llama, settings, longest):
    encoded = [[row + 2] * (1 + row % longest) for row in range(longest, 27)]
    seen = []
    for batch in batches(PromptReader.for_model(tiny_llama), encoded, settings):
        rows, length = batch.input_ids.shape
        assert rows in (1, 2, 4)
        assert batch.capacity >= 4
        assert length + batch.capacity <= 24
        assert batch.mask[:, -1].all()
        for row, index in enumerate(batch.indices):
            assert batch.input_ids[row][batch.mask[row]].tolist() == encoded[index]
        seen += batch.indices
    assert sorted(seen) == list(range(len(encoded)))


def test_an_encoder_reads_prompts_padded_behind(tiny_llama, settings):
    config = dataclasses.replace(tiny_llama.config)
    object.__setattr__(config, "is_encoder_decoder", True)
    reader = PromptReader.for_model(dataclasses.replace(tiny_llama, config=config))
    [batch] = batches(reader, [[3, 4], [5]], settings)
    np.testing.assert_array_equal(batch.mask[:, :3], [[True, False, False], [True, True, False]])
    assert length_problems(reader, [[1] * 24], 23) == []
    first, second = length_problems(reader, [[1] * 25], 24)
    assert first == "prompt 0 has 25 tokens, and the model reads at most 24. Shorten it"
    assert "max_new_tokens is 24, and the model writes at most 23" in second


def test_a_prompt_has_its_own_number_wherever_it_stands():
    first, second, third = [1, 2], [3], [1, 2]
    a, b, c = row_seeds([first, second, third])
    assert row_seeds([second, first]) == [b, a]
    assert a[0] == c[0] != b[0]
    assert (a[1], b[1], c[1]) == (0, 0, 1)

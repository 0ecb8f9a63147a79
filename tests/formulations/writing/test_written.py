"""Answers that a model writes: their tokens, their losses, and how they are read."""

import dataclasses

import jax
import pytest

from fsl_jax.compilation import peak_memory
from fsl_jax.data.examples import Example, text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations import Template, unpacked_batch
from fsl_jax.formulations.registry import restore_formulation
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.formulations.writing.written import WrittenFormulation
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.tasks.registry import find_task

EXAMPLES = [
    text_example("w1 w2 w3", "far east"),
    text_example("w4", "north"),
    text_example("w5 w6 w7 w8 w9", "very very far w1 w2 w3"),
    text_example("w2 w2", ""),
]
"""Answers of 3, 2, 7 and 1 tokens, with the one that ends each."""


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_answers_of_queries_are_not_read(writers, family):
    writer = writers[family]
    hidden = [dataclasses.replace(each, answer=object()) for each in EXAMPLES]
    tokenized = writer.tokenize(hidden)
    prompts = [writer.pretrained.tokenizer(f"{each.text} Topic :") for each in EXAMPLES]
    assert tokenized.tokens == [prompt["input_ids"] for prompt in prompts]
    segments = writer.segments(writer.pretrained.params, tokenized.tokens)
    batch = unpacked_batch(segments, features=tokenized.features)
    found = jax.jit(writer.outputs)(writer.pretrained.params, batch)
    assert not found.tokens.any()
    assert not found.sums.any()
    assert writer.decode(["east"] * 4, hidden, tokenized) == ["east"] * 4


def test_memory_does_not_grow_with_the_answers(build_tiny, writers):
    sizes = {"hidden_size": 8, "mlp_size": 8, "num_layers": 1, "num_heads": 2}
    config = GPT2Config(vocab_size=20_000, max_length=128, **sizes)
    tokenizer = writers["gpt2"].pretrained.tokenizer
    writer = dataclasses.replace(
        writers["gpt2"], pretrained=build_tiny(config, tokenizer), max_answer=100
    )
    params = writer.pretrained.params

    def peak(answers):
        examples = [text_example("w1", "w2 " * 60)] * answers
        tokenized = writer.tokenize(examples, answered=True)
        batch = unpacked_batch(tokenized.tokens, features=tokenized.features)

        def loss(embedding):
            words = {"embeddings": {**params["embeddings"], "word": {"embedding": embedding}}}
            return writer.outputs(params | words, batch).sums.sum()

        leaf = params["embeddings"]["word"]["embedding"]
        return peak_memory(jax.jit(jax.grad(loss)).lower(leaf).compile())

    logits_of_all = 4 * 64 * 61 * config.vocab_size
    few, many = peak(8), peak(64)
    assert many < 1.5 * few
    assert many < logits_of_all / 4


@pytest.fixture(scope="module")
def byte_writer(build_tiny, writers, byte_tokenizer):
    """A model of bytes, for which two new lines are one token."""
    sizes = {"hidden_size": 8, "mlp_size": 8, "num_layers": 1, "num_heads": 2}
    base = build_tiny(GPT2Config(vocab_size=300, max_length=64, **sizes), byte_tokenizer)
    base = dataclasses.replace(base, end_tokens=(299,))
    return dataclasses.replace(writers["gpt2"], pretrained=base, labels=(), stop=())


@pytest.mark.parametrize(
    ("template", "answer", "prompt", "whole"),
    [
        ("{text} is:", "d", "x is:", "x is: d"),
        ("is: {text}", "d", "is: x\n", "is: x\nd"),
        ("{text} is:", "", "x is:", "x is:"),
    ],
)
def test_a_space_or_a_new_line_stands_before_an_answer(
    byte_writer, template, answer, prompt, whole
):
    writer = dataclasses.replace(byte_writer, template=Template(template))
    (tokens,) = writer.tokenize([text_example("x", answer)], answered=True).tokens
    (asked,) = writer.tokenize([text_example("x")]).tokens
    decode = writer.pretrained.tokenizer.decode
    assert (decode(asked), decode(tokens[:-1]), tokens[-1]) == (prompt, whole, 299)
    written = whole.removeprefix(prompt)
    assert writer.decode([written], [text_example("x")], Tokenized([], 0)) == [answer or None]


def test_a_prompt_leaves_room_for_its_answer(writers):
    long = text_example(" ".join(f"w{n}" for n in range(40)), "north")
    for family, room in (("llama", 24), ("t5", 32)):
        (prompt,) = writers[family].prompts([long])
        assert prompt.is_cut
        assert len(prompt.ids) == room
        assert prompt.text.endswith(" Topic :")
        assert writers[family].tokenize([long]).truncated == 1


def test_texts_that_give_no_answer_are_none(writers):
    found = writers["llama"].decode(
        [" north", " north of here", " what?"], EXAMPLES[:3], Tokenized([], 0)
    )
    assert found[0] == "north"
    assert found[2] is None


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_description_gives_the_formulation_back(writers, family):
    writer = dataclasses.replace(writers[family], stop=())
    restored = restore_formulation(writer.describe(), writer.pretrained)
    assert isinstance(restored, WrittenFormulation)
    assert restored.describe() == writer.describe()
    assert restored.describe() == {
        "name": "written",
        "task": "classification",
        "template": "{text} Topic :",
        "labels": ["east", "far east", "north"],
        "max_length": 32,
        "max_answer": 8,
        "stop": [],
    }


def test_what_cannot_write_is_refused(tiny_bases, writers):
    task, template = find_task("classification"), Template()
    with pytest.raises(InputError, match="cannot write answers"):
        WrittenFormulation(tiny_bases["bert"], task, template)
    with pytest.raises(InputError, match="max_answer is 32; expected 1 to 31"):
        dataclasses.replace(writers["llama"], max_answer=32)
    with pytest.raises(InputError, match="which token ends a text"):
        WrittenFormulation(tiny_bases["llama"], task, template, max_answer=4).tokenize(
            EXAMPLES, answered=True
        )


def test_a_template_may_name_several_parts(writers):
    writer = dataclasses.replace(writers["llama"], template=Template("{head} w1 {tail} Topic :"))
    (tokens,) = writer.tokenize([Example({"head": "w2", "tail": "w3"}, "north")]).tokens
    assert writer.pretrained.tokenizer.decode(tokens) == "w2 w1 w3 Topic :"

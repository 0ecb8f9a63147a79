"""Answers that a frozen model writes, after demonstrations that are read once."""

import dataclasses

import jax
import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.incontext.answer_writer import AnswerWriter
from fsl_jax.incontext.demonstrations import as_many_as_fit, context
from fsl_jax.models.families.registry import module_of
from fsl_jax.models.generation.generate import generate
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.sharding import make_mesh
from fsl_jax.tasks.classification import Classification

SHOWN = [text_example(f"w{number} w{number + 3}", "far east") for number in range(5)]
QUERIES = [text_example(text, "north") for text in ("w1", "w20 w21 w22", "w7 w8")]


class Echo(Classification):
    """Reads all texts but those of an even number of words."""

    def parse(self, text, example, labels=()):
        return text if len(text.split()) % 2 else None


@pytest.fixture(scope="module")
def make(writers):
    """Makes the formulation of a tiny model that reads 64 tokens."""

    def formulation(family, **changes):
        base = writers[family].pretrained
        config = dataclasses.replace(base.config, max_length=64)
        long = dataclasses.replace(base, config=config, module=module_of(config))
        return dataclasses.replace(writers[family], pretrained=long, task=Echo(), **changes)

    return formulation


@pytest.fixture
def readings(monkeypatch):
    """The beginnings that are read once for all prompts."""
    found, read = [], PromptReader.read_prefix

    def counting(reader, params, ids, mask):
        found.append(ids.shape)
        return read(reader, params, ids, mask)

    monkeypatch.setattr(PromptReader, "read_prefix", counting)
    return found


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_what_is_written_after_demonstrations_is_read_by_the_task(make, readings, family):
    writer = make(family)
    before = context(writer, SHOWN)
    assert before == "".join(f"{each.text} Topic : far east\n\n" for each in SHOWN)
    hidden = [dataclasses.replace(each, answer=object()) for each in QUERIES]
    told = []
    found = AnswerWriter(writer)(writer.pretrained.params, hidden, before, told.append)
    # An encoder reads all prompts whole.
    assert len(readings) == (family == "llama")
    prompts = [f"{before}{each.text} Topic :" for each in QUERIES]
    written = [generate(writer.pretrained, [prompt], max_new_tokens=8)[0][0] for prompt in prompts]
    gap = "" if family == "t5" else " "
    texts = [each.text.removeprefix(gap) for each in written]
    assert found.cut_answers == sum(each.ended == "length" for each in written) > 0
    assert found.answers == [writer.task.parse(text, None) for text in texts]
    assert found.truncated == 0
    assert told == [3]


def test_on_a_mesh_the_answers_are_the_same(make):
    writer = make("llama")
    expected = AnswerWriter(writer)(writer.pretrained.params, QUERIES)
    mesh = make_mesh(batch=8)
    params = jax.device_put(writer.pretrained.params, jax.NamedSharding(mesh, jax.P()))
    assert AnswerWriter(writer, mesh=mesh)(params, QUERIES).answers == expected.answers


@pytest.mark.parametrize("family", ["llama", "t5"])
@pytest.mark.parametrize("limit", [20, 40, 44])
def test_demonstrations_leave_room_for_the_longest_query_and_an_answer(make, family, limit):
    writer = make(family, max_length=limit)
    shown = as_many_as_fit(writer, SHOWN, QUERIES)
    assert shown == SHOWN[: len(shown)]
    room = limit - (0 if family == "t5" else 8)
    # A demonstration has six tokens, and the longest query five.
    assert len(shown) == min((room - 5) // 6, 5)
    prompts = writer.prompts(QUERIES, context(writer, shown))
    assert not any(prompt.is_cut for prompt in prompts)


def test_queries_that_were_cut_are_counted(make):
    writer = make("llama", max_length=20)
    long = text_example(" ".join(["w1"] * 30), "north")
    assert as_many_as_fit(writer, SHOWN, [long, *QUERIES]) == []
    found = AnswerWriter(writer)(writer.pretrained.params, [long, *QUERIES])
    assert found.truncated == 1
    assert len(found.answers) == 4

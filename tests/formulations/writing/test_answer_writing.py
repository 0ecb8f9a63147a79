"""What is asked of the model that writes answers, and what its texts are worth."""

import jax
import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.formulations.writing import answer_writing
from fsl_jax.formulations.writing.answer_writing import write_answers
from fsl_jax.models.generation.generate import Continuation
from fsl_jax.sharding import make_mesh

EXAMPLES = [text_example(f"w{number} w2", "north") for number in range(3)]


@pytest.fixture
def asked(monkeypatch):
    """The options of each call of a model that writes three texts, of which it ends one."""
    calls = []

    def scripted(pretrained, prompts, **options):
        calls.append(options | {"prompts": prompts})
        ended = zip([" far east", " ?", " north"], ["stop", "length", "length"], strict=True)
        return [[Continuation(text, 0.0, (), end)] for text, end in ended]

    monkeypatch.setattr(answer_writing, "generate", scripted)
    return calls


def test_texts_are_read_and_those_that_were_cut_are_counted(writers, asked):
    writer = writers["llama"]
    written = write_answers(writer, {}, EXAMPLES, writer.prompts(EXAMPLES))
    assert written.texts == [" far east", " ?", " north"]
    assert written.answers == ["far east", None, "north"]
    assert written.cut == 2
    assert asked[0]["prompts"] == [f"{each.text} Topic :" for each in EXAMPLES]


def test_an_answer_ends_where_the_formulation_says(writers, asked):
    writer, told = writers["llama"], []
    options = {"batch_prompts": 2, "share_prefix": True, "on_batch": told.append}
    write_answers(writer, {}, EXAMPLES, writer.prompts(EXAMPLES), **options)
    (options,) = asked
    assert options["stop"] == writer.stop == ("\n",)
    assert options["max_new_tokens"] == writer.max_answer == 8
    # A model that was not trained to may begin its answer on a new line.
    assert options["skip_blank"] is True
    assert options["share_prefix"] is True
    assert options["batch_size"] == 2
    assert options["on_batch"] == told.append


def test_on_a_mesh_one_device_writes(writers, asked):
    writer, mesh = writers["llama"], make_mesh(batch=8)
    spread = jax.device_put({"leaf": jax.numpy.ones(8)}, jax.NamedSharding(mesh, jax.P()))
    write_answers(writer, spread, EXAMPLES, writer.prompts(EXAMPLES), mesh=mesh)
    assert asked[0]["params"]["leaf"].devices() == {jax.local_devices()[0]}


def test_without_examples_nothing_is_asked(writers, asked):
    written = write_answers(writers["llama"], {}, [], [])
    assert (written.answers, written.texts, written.cut) == ([], [], 0)
    assert asked == []

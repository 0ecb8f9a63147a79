import pytest

from fsl_jax.models.generation import chat
from fsl_jax.models.generation.chat import apply_template, conversation, last_text, prompt_problem

HELLO = {"role": "user", "content": "Hello"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Hel"}, {"text": "lo"}]}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"name": "look"}]}


class Templated:
    """A tokenizer that has nothing but a chat template."""

    def __init__(self, template):
        self.template = template

    def apply_chat_template(self, messages, add_generation_prompt, tokenize):
        from transformers.utils.chat_template_utils import render_jinja_template

        assert add_generation_prompt
        assert not tokenize
        rendered, _ = render_jinja_template([messages], chat_template=self.template)
        return rendered[0]


@pytest.mark.parametrize("prompt", ["Hello", "", [HELLO], (HELLO, PARTS), [HELLO, CALL], [PARTS]])
def test_texts_and_conversations_have_no_problem(prompt):
    assert prompt_problem(prompt) is None


def nested():
    """A message with values in each other, more than Python can walk through."""
    value = []
    for _ in range(10_000):
        value = [value]
    return HELLO | {"tool_calls": value}


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([nested()], "nested too deeply"),
        (HELLO, "a single message: a conversation is a list"),
        (None, "a value of type NoneType"),
        (7, "a value of type int"),
        (b"Hello", "a value of type bytes"),
        ([], "without messages"),
        (["Hello"], "message 0 is of type str"),
        ([HELLO, {"role": "user"}], "message 1 has no 'content'"),
        ([{"content": "Hello"}], "message 0 has no 'role'"),
        ([{"role": 7, "content": "Hello"}], "no text as 'role'"),
        ([{"role": "user", "content": 7}], "neither a text nor a list of parts"),
        ([{"role": "user", "content": None}], "neither a text nor a list of parts"),
        ([{"role": "user", "content": ["Hello"]}], "neither a text nor a list of parts"),
        ([{"role": "user", "content": [{"type": "image", "url": "x"}]}], "neither a text nor"),
        ("Hel\ud83dlo", "half a surrogate pair ('\\ud83d') at character 4"),
        ([{"role": "user", "content": "\ud83d"}], "half a surrogate pair"),
        ([{"role": "user", "content": [{"type": "text", "text": "\udc00"}]}], "surrogate"),
        ([HELLO | {"name": "\udc00"}], "half a surrogate pair"),
    ],
)
def test_anything_else_has_a_problem(prompt, words):
    assert words in prompt_problem(prompt)


def test_texts_of_parts_are_joined():
    assert conversation([PARTS]) == [HELLO]
    assert conversation("Hello") == [HELLO]
    assert conversation([CALL]) == [CALL]
    assert [last_text(prompt) for prompt in ("Hello", [PARTS], [CALL])] == ["Hello", "Hello", ""]


def test_a_template_makes_a_text():
    template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    assert apply_template(Templated(template), [HELLO, PARTS]) == "<user>Hello<user>Hello"


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no system') }}",
        "{% for m in messages %}",
        "{{ messages[0]['content'] + 7 }}",
        "{{ 1 / 0 }}",
        "{{ messages[9]['content'] }}",
        "{{ messages.__class__.__mro__ }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% set x = namespace(t='a') %}"
        "{% for i in range(60) %}{% set x.t = x.t ~ x.t %}{% endfor %}{{ x.t }}",
        "{{ 'a' * 10000000000 }}",
        "{{ '\\ud83d' }}",
        "{{ 'a' * 20000000 }}",
    ],
)
def test_a_template_that_fails_is_named(template):
    with pytest.raises(ValueError, match=r"the chat template (refuses it|gives)") as failed:
        apply_template(Templated(template), "Hello")
    assert len(str(failed.value)) < 1000


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}a{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
    ],
)
def test_a_template_without_end_is_stopped(template, monkeypatch):
    monkeypatch.setattr(chat, "SECONDS", 0.1)
    with pytest.raises(ValueError, match="the chat template refuses it"):
        apply_template(Templated(template), "Hello")

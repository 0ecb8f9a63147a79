import pytest

from fsl_jax.errors import InputError
from fsl_jax.formulations.template import Template


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ("{text}", "", ""),
        ("{text}\nTopic:", "", "\nTopic:"),
        ("Review: {text}\nSentiment:", "Review: ", "\nSentiment:"),
        ("{{a}} {text} {{text}} is", "{a} ", " {text} is"),
    ],
)
def test_a_text_stands_between_the_words_of_a_template(template, before, after):
    assert Template(template).render({"text": "some text"}) == f"{before}some text{after}"


@pytest.mark.parametrize("text", ["{text}", "{0}", "}{", "{{text}}", "%s $text \\n"])
def test_nothing_in_a_text_is_interpreted(text):
    assert Template("a {text} b").render({"text": text}) == f"a {text} b"


PARTS = {"question": "Why?", "choice 1": "Yes.", "choice 2": "No."}


def test_each_part_stands_in_its_field():
    template = Template("{choice 1}|{choice 2}|{question} {{")
    assert template.fields == ("choice 1", "choice 2", "question")
    assert template.render(PARTS) == "Yes.|No.|Why? {"
    assert Template("Q: {question}").render(PARTS) == "Q: Why?"


def test_text_stands_for_all_parts_if_none_has_this_name():
    assert Template("<{text}>").render(PARTS) == "<Why?\nYes.\nNo.>"
    assert Template("<{text}>").render({"text": "a", "head": "b"}) == "<a>"


def test_a_field_that_the_data_lack_is_told_with_those_that_they_have():
    with pytest.raises(InputError) as raised:
        Template("{choice 3} {queston} {__class__}").render(PARTS)
    said = str(raised.value)
    assert "{question}, {choice 1}, {choice 2}, {text}" in said
    assert "there is no {queston}; did you mean {question}?" in said
    assert "there is no {__class__}" in said
    assert "there is no {choice 3}; did you mean {choice" in said


@pytest.mark.parametrize(
    ("template", "expected"), [("{text}", True), ("{a}: {b}", True), ("{text}.", False)]
)
def test_a_template_ends_in_a_field_or_in_words(template, expected):
    assert Template(template).ends_in_field is expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Topic:", "has no field"),
        ("{text} or {text}", r"has \{text\} more than once"),
        ("{}", "a field has no name"),
        ("{text!r}", "plain name"),
        ("{text:>10}", "plain name"),
        ("{text} Topic: ", "white space"),
        ("{text}\n", "white space"),
        ("{text", "cannot be read"),
        ("text}", "cannot be read"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template, said):
    with pytest.raises(InputError, match=said):
        Template(template)


def test_all_faults_are_told_at_once():
    with pytest.raises(InputError) as raised:
        Template("{text!r} {text} ")
    said = str(raised.value)
    assert all(word in said for word in ("more than once", "conversion", "white space"))


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match=r"the template '\{text\} \\ud83d' has half a surrogate"):
        Template("{text} \ud83d")
    assert Template("\0{text}").render({"text": "a"}) == "\0a"

import pytest

from fsl_jax.errors import InputError
from fsl_jax.tasks.template import Template


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        ("{text}", "", ""),
        ("{text}\nTopic:", "", "\nTopic:"),
        ("Review: {text}\nSentiment:", "Review: ", "\nSentiment:"),
        ("{{a}} {text} {{text}} is", "{a} ", " {text} is"),
    ],
)
def test_a_text_stands_between_the_two_parts(template, before, after):
    assert Template(template).around() == (before, after)
    assert Template(template).render("some text") == f"{before}some text{after}"


@pytest.mark.parametrize("text", ["{text}", "{0}", "}{", "{{text}}", "%s $text \\n"])
def test_nothing_in_a_text_is_interpreted(text):
    assert Template("a {text} b").render(text) == f"a {text} b"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("Topic:", r"fields are \[\]"),
        ("{text} or {text}", r"fields are \['text', 'text'\]"),
        ("{text} of {label}", r"fields are \['text', 'label'\]"),
        ("{txt}", r"fields are \['txt'\]"),
        ("{}", r"fields are \[''\]"),
        ("{text.__class__}", r"fields are \['text.__class__'\]"),
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
        Template("{txt!r} ")
    assert [word in str(raised.value) for word in ("['txt']", "conversion", "white space")] == [
        True,
        True,
        True,
    ]


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InputError, match=r"the template '\{text\} \\ud83d' has half a surrogate"):
        Template("{text} \ud83d")
    assert Template("\0{text}").render("a") == "\0a"

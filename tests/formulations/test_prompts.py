import hypothesis
import pytest
from hypothesis import strategies
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.formulations.prompts import fit_prompt as fit_parts
from fsl_jax.formulations.template import Template

TEMPLATE = Template("Say: {text}\nTopic:")
AROUND = len("Say: \nTopic:")


def fit_prompt(tokenizer, template, text, limit, context=""):
    """Fit the prompt of one text; return its tokens, and whether it was cut."""
    prompt = fit_parts(tokenizer, template, {"text": text}, limit, context)
    assert tokenizer(prompt.text)["input_ids"] == prompt.ids
    return prompt.ids, prompt.is_cut


def test_a_prompt_that_fits_is_left_as_it_is(byte_tokenizer):
    text = "d" * 8
    ids, cut = fit_prompt(byte_tokenizer, TEMPLATE, text, AROUND + 8)
    assert not cut
    assert byte_tokenizer.decode(ids) == "Say: dddddddd\nTopic:"


def test_only_the_end_of_the_text_is_cut(byte_tokenizer):
    ids, cut = fit_prompt(byte_tokenizer, TEMPLATE, "d" * 8 + "e", AROUND + 8)
    assert cut
    assert byte_tokenizer.decode(ids) == "Say: dddddddd\nTopic:"


def test_only_the_longest_field_is_cut(byte_tokenizer):
    template = Template("{question}? {context} =")
    parts = {"context": "d" * 9, "question": "e" * 8}
    prompt = fit_parts(byte_tokenizer, template, parts, 15, after="!")
    assert prompt.is_cut
    assert prompt.text == byte_tokenizer.decode(prompt.ids) == "eeeeeeee? dd =!"
    with pytest.raises(InputError, match="13 tokens without the context, and with the start"):
        fit_parts(byte_tokenizer, template, parts, 13, after="!")


def test_what_stands_before_the_prompt_is_not_cut(byte_tokenizer):
    before = "Say: x\nTopic: y.."
    ids, cut = fit_prompt(byte_tokenizer, TEMPLATE, "defghi", AROUND + len(before) + 2, before)
    assert cut
    assert byte_tokenizer.decode(ids) == before + "Say: de\nTopic:"


@pytest.mark.parametrize("room", range(1, 12))
@pytest.mark.parametrize("text", ["👩‍👩‍👧👧", "漢字漢字", "é" * 9, "a👧b" * 3])
def test_no_character_is_cut_in_two(byte_tokenizer, text, room):
    limit = AROUND + room
    try:
        ids, cut = fit_prompt(byte_tokenizer, TEMPLATE, text, limit)
    except InputError:
        assert room < len(text[0].encode())
    else:
        kept = byte_tokenizer.decode(ids).removeprefix("Say: ").removesuffix("\nTopic:")
        assert len(ids) <= limit
        assert cut
        assert text.startswith(kept)
        # No more was cut than needed: one more character would not fit.
        assert len(text[: len(kept) + 1].encode()) > room


@hypothesis.settings(max_examples=200, derandomize=True, deadline=None)
@hypothesis.given(
    text=strategies.text(min_size=1, max_size=40) | strategies.text("ab \n", min_size=1),
    room=strategies.integers(1, 60),
)
def test_any_text_is_made_to_fit_or_refused(byte_tokenizer, text, room):
    limit = AROUND + room
    whole = len(byte_tokenizer(TEMPLATE.render({"text": text}))["input_ids"])
    try:
        ids, cut = fit_prompt(byte_tokenizer, TEMPLATE, text, limit)
    except InputError:
        assert whole > limit
        return
    prompt = byte_tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert len(ids) <= limit
    assert cut == (whole > limit)
    assert prompt.startswith("Say: ")
    assert prompt.endswith("\nTopic:")
    assert text.startswith(prompt.removeprefix("Say: ").removesuffix("\nTopic:"))


@pytest.mark.parametrize("limit", [0, 1, AROUND - 1, AROUND])
def test_a_template_without_room_for_text_is_refused(byte_tokenizer, limit):
    with pytest.raises(InputError, match=f"more than the {limit} tokens.*shorten the template"):
        fit_prompt(byte_tokenizer, TEMPLATE, "long text", limit)


def test_a_context_without_room_for_text_is_refused(byte_tokenizer):
    with pytest.raises(InputError, match="fewer demonstrations"):
        fit_prompt(byte_tokenizer, TEMPLATE, "d", AROUND + 5, "12345")


def test_a_long_text_is_cut_in_a_few_turns(byte_tokenizer):
    calls = []

    class Counting(PreTrainedTokenizerFast):
        def __call__(self, *arguments, **options):
            calls.append(arguments)
            return super().__call__(*arguments, **options)

    counting = Counting(tokenizer_object=byte_tokenizer.backend_tokenizer)
    ids, cut = fit_prompt(counting, TEMPLATE, "ab abc é👧" * 20_000, 100)
    assert cut
    assert 95 <= len(ids) <= 100
    assert len(calls) <= 10

import copy
import dataclasses

import pytest
from script_tokenizers import script_tokenizer
from tokenizers.processors import TemplateProcessing

from fsl_jax.data.examples import Example, text_example
from fsl_jax.errors import InputError
from fsl_jax.formulations.pairs import PairFrame, pair_frame, plain_tokens, text_tokens

PAIRS = [("A b, c.", "d e f"), ("世界 \U0001f600", "x"), ("one two three four five", "six\nseven")]


TEMPLATES = {
    "bert cased": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]"),
    "bert uncased": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]"),
    "t5": ("$A </s>", "$A </s> $B </s>"),
}
"""How tokenizers of a family join texts; that of RoBERTa has it built in."""


def reading(base, family):
    tokenizer = script_tokenizer(family)
    if family in TEMPLATES:
        tokenizer = copy.deepcopy(tokenizer)
        single, pair = TEMPLATES[family]
        added = [name for name in dict.fromkeys(pair.split()) if name not in ("$A", "$B")]
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single, pair, [(name, tokenizer.convert_tokens_to_ids(name)) for name in added]
        )
    return dataclasses.replace(base, tokenizer=tokenizer)


@pytest.mark.parametrize("family", ["bert cased", "bert uncased", "roberta", "t5"])
@pytest.mark.parametrize("options", [{}, {"truncation": True, "max_length": 9}])
def test_an_encoder_reads_two_parts_as_its_tokenizer_joins_a_pair(tiny_bases, family, options):
    model = reading(tiny_bases["t5" if family == "t5" else "bert"], family)
    examples = [Example({"premise": a, "hypothesis": b}, None) for a, b in PAIRS]
    expected = [model.tokenizer(*pair, **options)["input_ids"] for pair in PAIRS]
    assert text_tokens(model, examples, **options) == expected
    if not options:
        frame = pair_frame(model)
        firsts, seconds = (plain_tokens(model, texts) for texts in zip(*PAIRS, strict=True))
        assert list(map(frame.join, firsts, seconds)) == expected
        assert frame.size == len(expected[0]) - len(firsts[0]) - len(seconds[0])
        assert frame.line_end == ""


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen"])
def test_a_decoder_reads_two_parts_on_two_lines(tiny_bases, family):
    model = reading(tiny_bases["llama"], family)
    examples = [Example({"premise": a, "hypothesis": b}, None) for a, b in PAIRS]
    expected = [model.tokenizer(f"{a}\n{b}")["input_ids"] for a, b in PAIRS]
    assert text_tokens(model, examples) == expected
    opening = model.tokenizer("")["input_ids"]
    assert pair_frame(model) == PairFrame(opening, [], [], "\n")


def test_one_part_and_three_are_texts_beside_pairs(tiny_bases):
    model = reading(tiny_bases["bert"], "bert cased")
    parts = ("a b", "c", "d")
    examples = [Example(dict(enumerate_names(parts[:count])), None) for count in (1, 2, 3)]
    tokenizer = model.tokenizer
    expected = [tokenizer("a b"), tokenizer("a b", "c"), tokenizer("a b\nc\nd")]
    assert text_tokens(model, examples) == [each["input_ids"] for each in expected]
    assert text_tokens(model, []) == []


def enumerate_names(texts):
    return ((f"part {number}", text) for number, text in enumerate(texts))


def test_without_a_separator_an_encoder_reads_lines(tiny_bases):
    model = tiny_bases["bert"]
    assert pair_frame(model) == PairFrame([], [], [], "\n")
    [found] = text_tokens(model, [Example({"a": "w1 w2", "b": "w3"}, None)])
    assert found == text_tokens(model, [text_example("w1 w2 w3")])[0]


def test_half_a_surrogate_pair_in_the_second_part_is_an_error(tiny_bases):
    model = reading(tiny_bases["bert"], "bert cased")
    with pytest.raises(InputError, match="half a surrogate pair"):
        text_tokens(model, [Example({"a": "x", "b": "y \ud83d"}, None)])


def test_a_segment_needs_room_for_a_token_of_each_text():
    frame = PairFrame([1], [2, 2], [3], "")
    assert frame.room(6) == 2
    with pytest.raises(InputError, match=r"5 tokens has no room .* raise max_length to 6 or more"):
        frame.room(5)

import copy
import json
import re

import pytest
from fuzzing import read_damaged
from tokenizers import Tokenizer, normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.formulations.verbalizer import Verbalizer, parse_verbalizer

LABELS = ("bad", "good", "so_so")


def test_labels_stand_for_themselves():
    assert Verbalizer.from_mapping(LABELS).words == ((" bad",), (" good",), (" so so",))


def test_words_are_given_by_label_in_the_order_of_labels():
    verbalizer = Verbalizer.from_mapping(LABELS, {"good": " great ", "bad": ["poor", "very bad"]})
    assert verbalizer.words == ((" poor", " very bad"), (" great",), (" so so",))
    assert verbalizer.class_indices() == [0, 0, 1, 2]


def test_all_faults_of_a_mapping_are_told_at_once():
    with pytest.raises(InputError) as raised:
        Verbalizer.from_mapping(LABELS, {"god": "x", "bad": [], "good": ["so so", " "]})
    message = str(raised.value)
    for said in ("bad, good, so_so", "'god' is not a label", "'bad' has no", "'good' has no"):
        assert said in message
    assert "' so so' appears twice" in message


def test_a_word_cannot_stand_twice_for_one_label_either():
    with pytest.raises(InputError, match="' fine' appears twice"):
        Verbalizer.from_mapping(LABELS, {"good": ["fine", " fine"]})


def test_words_have_the_tokens_that_follow_the_prompt(byte_tokenizer):
    verbalizer = Verbalizer.from_mapping(("x", "y"), {"x": ["ab", "abc"], "y": "bé"})
    tokens = verbalizer.tokens(byte_tokenizer, "ab:")
    assert [byte_tokenizer.decode(ids) for ids in tokens] == [" ab", " abc", " bé"]
    assert [len(ids) for ids in tokens] == [2, 2, 4]


@pytest.fixture
def spacing_tokenizer():
    """Puts a space before every text, as SentencePiece does, and has one token for `_word`."""
    words = ["<unk>", "▁", "▁ask", "▁yes", "▁no"]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.pre_tokenizer = Split("▁", "merged_with_next")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def test_a_tokenizer_that_begins_texts_with_a_space_gives_words_none_more(spacing_tokenizer):
    verbalizer = Verbalizer.from_mapping(("yes", "no"))
    assert spacing_tokenizer(" yes").input_ids == [1, 3]
    assert verbalizer.tokens(spacing_tokenizer, "ask") == [[3], [4]]


def test_words_may_be_texts_of_their_own(spacing_tokenizer):
    closing = copy.deepcopy(spacing_tokenizer)
    closing.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <unk>", special_tokens=[("<unk>", 0)]
    )
    assert closing("yes").input_ids == [3, 0]
    assert Verbalizer.from_mapping(("yes", "no")).tokens(closing, None) == [[3], [4]]


def test_words_that_have_no_tokens_by_themselves_are_named():
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "far": 1}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace("away", "")
    losing = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    with pytest.raises(InputError, match="'away' has no tokens"):
        Verbalizer.from_mapping(("far", "away")).tokens(losing, None)


def test_words_that_the_tokenizer_cannot_tell_apart_are_all_named(tiny_tokenizer):
    verbalizer = Verbalizer.from_mapping(("a", "b", "c", "east"))
    with pytest.raises(InputError) as raised:
        verbalizer.tokens(tiny_tokenizer, "Topic :")
    message = str(raised.value)
    for pair in ("' a' and ' b'", "' a' and ' c'", "' b' and ' c'"):
        assert f"{pair} have the same tokens" in message
    assert "east" not in message


def test_a_word_has_to_come_after_the_tokens_of_the_prompt():
    """Here a word joins the prompt's last token, and another leaves no token."""
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "is": 1, "is far": 2}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" away", "")
    joining = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    verbalizer = Verbalizer.from_mapping(("far", "away"))
    with pytest.raises(InputError) as raised:
        verbalizer.tokens(joining, "is")
    assert "' far' does not follow" in str(raised.value)
    assert "' away' does not follow" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("{}", {}),
        ('{"good": "great"}', {"good": ["great"]}),
        (
            '{"good": ["great", "fine"], "bad": "poor"}',
            {"good": ["great", "fine"], "bad": ["poor"]},
        ),
    ],
)
def test_a_verbalizer_is_read_from_json(text, mapping):
    assert parse_verbalizer(text) == mapping


@pytest.mark.parametrize(
    "text",
    [
        "good: great",
        "{'good': 'great'}",
        "[]",
        '["good", "great"]',
        '[["good", "great"]]',
        '"good"',
        "3",
        "null",
        '{"good": 3}',
        '{"good": null}',
        '{"good": ["great", null]}',
        '{"good": {"great": 1}}',
        '{"good": "great", "good": "fine"}',
    ],
)
def test_what_is_no_verbalizer_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=re.escape('{"positive": "great"')):
        parse_verbalizer(text)


def test_all_labels_with_wrong_words_are_named():
    with pytest.raises(InputError) as raised:
        parse_verbalizer('{"good": 3, "bad": "poor", "so_so": [["x"]]}')
    assert "'good' has 3" in str(raised.value)
    assert "'so_so' has [[\"x\"]]" in str(raised.value)
    assert "'bad'" not in str(raised.value)


@pytest.mark.parametrize("mapping", [{"good": "\ud83d"}, {"good": ["fine", "x\ud83d"]}])
def test_half_a_surrogate_pair_in_a_word_is_refused(mapping):
    with pytest.raises(InputError, match=r"the label word .* has half a surrogate pair"):
        Verbalizer.from_mapping(LABELS, mapping)
    with pytest.raises(InputError, match=r"the label word .* has half a surrogate pair"):
        parse_verbalizer(json.dumps(mapping))


def test_a_tokenizer_that_ends_texts_gives_words_the_tokens_inside_a_text(closing_tokenizer):
    verbalizer = Verbalizer.from_mapping(("far", "very far"))
    names = [
        closing_tokenizer.convert_ids_to_tokens(ids)
        for ids in verbalizer.tokens(closing_tokenizer, "Topic :")
    ]
    assert names == [["far"], ["very", "far"]]


def read_verbalizer(data):
    parse_verbalizer(data.decode(errors="surrogateescape"))


SEED = b'{"good": ["great", "fine"], "bad": "poor"}'


def test_damaged_verbalizers_are_read_or_refused():
    read_damaged(read_verbalizer, [SEED])


@pytest.mark.soak
def test_many_damaged_verbalizers_are_read_or_refused():
    read_damaged(read_verbalizer, [SEED], 20_000)

"""Offsets of a thousand sentences in many scripts, for tokenizers of every family."""

import numpy as np
import pytest
import regex
from script_sentences import draw_sentences
from script_tokenizers import FAMILIES, script_tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from fsl_jax.formulations.offsets import place_tokens, text_of_tokens, tokens_of_range
from fsl_jax.formulations.words import word_ranges

SENTENCES = draw_sentences(1000)
TEXTS = [" ".join(words) for words in SENTENCES]
BYTES = {character: value for value, character in bytes_to_unicode().items()}
BYTE_LEVEL = tuple(name for name in FAMILIES if name.split()[0] in ("gpt2", "roberta", "qwen"))
FUSING = "llama without bytes"
"""Joins unknown characters, tabs among them, into one token."""
DROPPING = ("bert cased", "bert uncased", "t5", "xlm-roberta")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def placed(family):
    return place_tokens(script_tokenizer(family), TEXTS)


def test_every_word_comes_back_exactly(family, placed):
    without = []
    for words, text, tokens in zip(SENTENCES, TEXTS, placed, strict=True):
        for word, ends in zip(words, word_ranges(words), strict=True):
            found = tokens_of_range(tokens.offsets, *ends)
            if found:
                assert text_of_tokens(text, tokens.offsets, found[0], found[-1]) == word
            else:
                without.append(word)
    assert bool(without) == (family in DROPPING)
    # What is dropped: format and control characters, marks, U+FFFD, and SentencePiece's space.
    assert all(regex.fullmatch(r"[\p{C}\p{M}�▁]+", word) for word in without)


def test_token_ids_are_those_of_the_tokenizer(family, placed):
    expected = script_tokenizer(family)(TEXTS)["input_ids"]
    assert [tokens.ids for tokens in placed] == expected


def surface(token, family):
    """Return the bytes that a token stands for, without a space before them."""
    if family in BYTE_LEVEL:
        return bytes(BYTES[character] for character in token).removeprefix(b" ")
    if regex.fullmatch("<0x..>", token):
        return bytes([int(token[3:5], 16)])
    return token.removeprefix("##").strip("▁").encode()


def test_each_token_stands_for_its_characters_in_the_sentence(family, placed):
    """Within a character with its marks, a normalizer may move and join what there is."""
    tokenizer = script_tokenizer(family)
    normalizer = tokenizer.backend_tokenizer.normalizer
    for text, tokens in list(zip(TEXTS, placed, strict=True))[::3]:
        clusters = [match.span() for match in regex.finditer(r"\X", text)]
        names = tokenizer.convert_ids_to_tokens(tokens.ids)
        for name, (start, end), added in zip(names, tokens.offsets, tokens.added, strict=True):
            if added:
                assert start == end
            elif name != "<unk>":
                whole = [text[a:b] for a, b in clusters if max(a, start) < min(b, end)]
                held = "".join(whole)
                held = normalizer.normalize_str(held) if normalizer else held
                if family not in BYTE_LEVEL:
                    held = held.replace("▁", "")
                assert surface(name, family) in held.encode()


def test_each_character_but_spaces_is_held_by_a_token_near_it(placed):
    for text, tokens in zip(TEXTS, placed, strict=True):
        is_held = np.zeros(len(text), bool)
        for start, end in tokens.offsets:
            is_held[start:end] = True
        for word in regex.finditer(r"\S+", text):
            assert is_held[slice(*word.span())].all() or not is_held[slice(*word.span())].any()


def offsets_of(family, text):
    tokenizer = script_tokenizer(family)
    [tokens] = place_tokens(tokenizer, [text], add_special_tokens=False)
    return tokenizer.convert_ids_to_tokens(tokens.ids), tokens.offsets.tolist()


@pytest.mark.parametrize("family", ["gpt2 after a space", "roberta untrimmed", "llama"])
def test_a_token_for_a_space_alone_holds_no_character(family):
    names, offsets = offsets_of(family, "丠 丠")
    assert names[0] in "▁Ġ"
    assert offsets[0][0] == offsets[0][1]
    assert offsets[1] == [0, 1]


def test_the_tokens_of_a_split_character_all_hold_it():
    names, offsets = offsets_of("gpt2", "丠")
    assert offsets == [[0, 1]] * len(names)
    assert len(names) > 1


def test_a_mark_that_is_dropped_belongs_to_the_letter_before_it_or_else_after_it():
    assert offsets_of("bert uncased", "ᄀ\u0301 \u0301ᄀ") == (["ᄀ", "ᄀ"], [[0, 2], [3, 5]])


@pytest.mark.parametrize("family", ["t5", "xlm-roberta", "bert cased"])
def test_what_is_dropped_at_the_start_moves_no_other_offset(family):
    _, offsets = offsets_of(family, "\x01\x01 ᄀ \x01ᄀ")
    assert [each for each in offsets if each[0] < each[1]] == [[3, 4], [5, 7]]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != FUSING])
def test_white_space_of_any_kind_belongs_to_no_token(family):
    text = "\n a\t\u3000b  \u00a0c\r\n"
    [tokens] = place_tokens(script_tokenizer(family), [text])
    for start, end in (match.span() for match in regex.finditer(r"\S", text)):
        found = tokens_of_range(tokens.offsets, start, end)
        assert text_of_tokens(text, tokens.offsets, found[0], found[-1]) == text[start:end]


def test_a_range_without_tokens_is_empty():
    offsets = np.array([[0, 0], [0, 2], [2, 2], [3, 5]], np.int32)
    assert not tokens_of_range(offsets, 2, 3)
    assert not tokens_of_range(offsets, 1, 1)
    assert tokens_of_range(offsets, 1, 4) == range(1, 4)
    assert text_of_tokens("ab cd", offsets, 0, 3) == "ab cd"
    assert text_of_tokens("ab cd", offsets, 2, 2) == ""


def test_no_text_and_an_empty_one_have_no_characters():
    tokenizer = script_tokenizer("t5")
    assert place_tokens(tokenizer, []) == []
    [tokens] = place_tokens(tokenizer, [""])
    assert tokens.ids == [1]
    assert tokens.offsets.tolist() == [[0, 0]]
    assert tokens.added.tolist() == [True]

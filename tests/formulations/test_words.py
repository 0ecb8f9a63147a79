import pytest
from script_sentences import draw_sentences
from script_tokenizers import FAMILIES, script_tokenizer

from fsl_jax.errors import InputError
from fsl_jax.formulations.offsets import place_tokens, tokens_of_range
from fsl_jax.formulations.words import NO_PLACE, WordTokens, tokenize_words, word_ranges

SENTENCES = draw_sentences(60, seed=2)


def test_ranges_are_those_of_words_with_single_spaces_between():
    words = ["ab", "c", "\u0301\U0001f600"]
    text = " ".join(words)
    assert [text[start:end] for start, end in word_ranges(words)] == words
    assert word_ranges([]) == []


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("limit", [3, 9, 20, 1000])
def test_tokens_are_cut_as_by_the_tokenizer(family, limit):
    tokenizer = script_tokenizer(family)
    texts = [" ".join(words) for words in SENTENCES]
    expected = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
    placed = place_tokens(tokenizer, texts)
    for words, ids, whole, found in zip(
        SENTENCES, expected, placed, tokenize_words(tokenizer, SENTENCES, limit), strict=True
    ):
        assert found.ids == ids
        assert found.is_cut == (len(whole.ids) > limit)
        last = len(ids) - 1 - whole.added[::-1].tolist().index(False) if False in whole.added else 0
        for place, ends in zip(found.first, word_ranges(words), strict=True):
            tokens = tokens_of_range(whole.offsets, *ends)
            if tokens and tokens[0] <= last:
                assert place == tokens[0]
                assert found.ids[place] == whole.ids[place]
            else:
                assert place == NO_PLACE
        for place, ends in zip(found.last, word_ranges(words), strict=True):
            tokens = tokens_of_range(whole.offsets, *ends)
            assert place == (tokens[-1] if tokens and tokens[-1] <= last else NO_PLACE)


def test_a_word_of_which_nothing_is_left_has_no_place():
    [found] = tokenize_words(script_tokenizer("bert cased"), [["ᄀ", "\x01\u200e", "ᄀ"]], 9)
    assert found.first == [1, NO_PLACE, 2]


def test_no_words_have_only_what_the_tokenizer_adds():
    assert tokenize_words(script_tokenizer("t5"), [[]], 9) == [WordTokens([1], [], [], False)]
    assert tokenize_words(script_tokenizer("t5"), [], 9) == []


def test_half_a_surrogate_pair_is_an_error():
    with pytest.raises(InputError, match="half a surrogate pair"):
        tokenize_words(script_tokenizer("gpt2"), [["a", "\ud83d"]], 9)

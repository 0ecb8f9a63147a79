import pytest
from script_tokenizers import FAMILIES, script_tokenizer

from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.formulations.markers import tokenize_marked
from fsl_jax.formulations.offsets import place_tokens
from fsl_jax.tasks.parts.marked_entities import mark

FAR = 999
FUSING = "llama without bytes"
"""Joins unknown characters, marks among them, into one token, which has no place of its own."""


def related(text, head, tail):
    """An example with both entities marked, which are given by their words in the text."""
    spans = [(text.index(entity), text.index(entity) + len(entity)) for entity in (head, tail)]
    return Example({"text": mark(text, *spans), "head": head, "tail": tail}, None)


EXAMPLES = [
    related("Ann works at the Bank of England now", "Ann", "Bank of England"),
    related("@you: #Bank was founded by Bob # @ Bank", "Bob", "Bank"),
    related("the 世界 \U0001f600 Café (Paris)", "Paris", "世界 \U0001f600"),
    related("the Bank of England in London", "England", "Bank of England"),
    related("Rome is Rome", "Rome", "Rome"),
    related("a (b+c) d", "(b", "(b+c)"),
]


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != FUSING])
def test_each_mark_is_found_at_its_entity(family):
    tokenizer = script_tokenizer(family)
    found = tokenize_marked(tokenizer, EXAMPLES, FAR)
    placed = place_tokens(tokenizer, [example.parts["text"] for example in EXAMPLES])
    for example, tokens, whole in zip(EXAMPLES, found, placed, strict=True):
        assert tokens.ids == whole.ids
        assert not tokens.is_cut
        text = example.parts["text"]
        for name, ends, own, other in (
            ("head", tokens.head, "@", "#"),
            ("tail", tokens.tail, "#", "@"),
        ):
            first, last = (whole.offsets[place] for place in ends)
            marked = text[first[0] : last[1]]
            assert marked.startswith(own)
            assert marked.endswith(own)
            plain = marked.replace(f" {other}", "").replace(f"{other} ", "")
            assert plain[1:-1].strip() == example.parts[name]


LONG = "w1 w2 w3 w4 @ w5 @ w6 w7 w8 w9 # w10 w11 # w12 w13 w14"
PARTS = {"text": LONG, "head": "w5", "tail": "w10 w11"}


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (18, "w1 w2 w3 w4 @ w5 @ w6 w7 w8 w9 # w10 w11 # w12 w13 w14"),
        (16, "w2 w3 w4 @ w5 @ w6 w7 w8 w9 # w10 w11 # w12 w13"),
        (13, "w4 @ w5 @ w6 w7 w8 w9 # w10 w11 # w12"),
        (11, "@ w5 @ w6 w7 w8 w9 # w10 w11 #"),
        (10, "w4 @ w5 @ w6 w9 # w10 w11 #"),
        (7, "@ w5 @ # w10 w11 #"),
        (4, "@ @ # #"),
    ],
)
def test_a_long_text_is_cut_around_its_entities(kept, limit):
    """The tokenizer has a token for each word, and one that it adds at the end."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = words_of(LONG.split())
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A [UNK]", special_tokens=[("[UNK]", 1)]
    )
    [found] = tokenize_marked(tokenizer, [Example(PARTS, None)], limit + 1)
    assert tokenizer.decode(found.ids).split() == [*kept.split(), "[UNK]"]
    assert found.is_cut == (kept != LONG)
    marks = [tokenizer.decode(found.ids[place]) for place in (*found.head, *found.tail)]
    assert marks == ["@", "@", "#", "#"]
    assert found.head[0] < found.head[1] < found.tail[0] < found.tail[1]


def words_of(words):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    vocabulary = {
        word: number for number, word in enumerate(["[PAD]", "[UNK]", *dict.fromkeys(words)])
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def test_all_texts_that_cannot_be_read_are_named():
    examples = [
        Example({"text": "a b", "head": "a", "tail": "b"}, None),
        Example(PARTS, None),
        Example({"text": "@ a @ b"}, None),
    ]
    with pytest.raises(InputError, match="the head must stand between two @") as error:
        tokenize_marked(words_of(LONG.split()), examples, 3)
    assert error.value.problems == (
        "'a b': no marks around head 'a' and tail 'b'",
        f"{LONG!r}: 3 tokens are too few for both entities",
        "'@ a @ b': no marks around head '' and tail ''",
    )

import json

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.embedded import embedded_path
from fsl_jax.models.gguf.tokenizer import gguf_tokenizer
from fsl_jax.models.gguf.vocabulary import CONTROL, NORMAL

PREFIX = "tokenizer.ggml."
TEXTS = [
    "",
    " ",
    "Hello, world!",
    "Café déjà vu, naïve Straße — ÅNGSTRÖM",
    "unaffable  embeddings\tand\n\nlonger   words",
    "東京へ行きたい。 がぎぐ 한국어",
    "Don't! (really?) $3.50 100% a_b #tag @you",
    "🙂 e\u0301 \u200b \u00a0 \x00 \ufffd",
    "[MASK] is [unused7] and [SEP]",
    "x" * 120,
    "▁under ##score",
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.fixture(scope="module")
def minilm():
    """The tokenizer of a BERT that does not know capitals, without its padding."""
    tokenizer = AutoTokenizer.from_pretrained(embedded_path("minilm-l6"))
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer


def metadata_of(tokens, special=SPECIAL, **changes):
    """The metadata that llama.cpp's converter writes for a vocabulary of BERT, without Nones."""

    def marked(token):
        if token in special:
            return token
        return token[2:] if token.startswith("##") else "\u2581" + token

    entries = {
        "model": "bert",
        "pre": "default",
        "tokens": [marked(token) for token in tokens],
        "token_type": np.int32([CONTROL if token in special else NORMAL for token in tokens]),
        **changes,
    }
    return {PREFIX + key: value for key, value in entries.items() if value is not None}


def roles_of(tokens):
    keys = ("padding_token_id", "unknown_token_id", "bos_token_id", "eos_token_id", "mask_token_id")
    return {key: tokens.index(token) for key, token in zip(keys, SPECIAL, strict=True)}


@pytest.fixture(scope="module")
def pieces(minilm):
    return [token for token, _ in sorted(minilm.get_vocab().items(), key=lambda item: item[1])]


def test_tokens_are_those_of_bert(minilm, pieces):
    tokenizer = gguf_tokenizer(metadata_of(pieces, **roles_of(pieces)))
    for text in TEXTS:
        expected = minilm(text).input_ids
        assert tokenizer(text).input_ids == expected
        assert tokenizer.decode(expected) == minilm.decode(expected)
    pair = tokenizer("a b", "c", return_token_type_ids=True)
    assert pair.input_ids == minilm("a b", "c").input_ids
    assert pair.token_type_ids == minilm("a b", "c").token_type_ids
    for role in ("cls_token", "sep_token", "mask_token", "pad_token", "unk_token"):
        assert getattr(tokenizer, role) == getattr(minilm, role)


def test_older_files_give_the_same_tokens(minilm, pieces):
    bracketed = {token for token in pieces if len(token) > 2 and (token[0] + token[-1] == "[]")}
    older = metadata_of(
        pieces, bracketed, token_type=None, cls_token_id=101, seperator_token_id=102, bos_token_id=5
    )
    tokenizer = gguf_tokenizer(older)
    for text in TEXTS:
        assert tokenizer(text).input_ids == minilm(text).input_ids


CASED = [*SPECIAL, "The", "the", "ca", "##fé", "##fe", "é", "THE", "##\u2581", "b"]


def test_capitals_and_accents_matter_where_tokens_have_them():
    tokenizer = gguf_tokenizer(metadata_of(CASED))
    assert tokenizer.tokenize("The THE the café") == ["The", "THE", "the", "ca", "##fé"]
    assert tokenizer.tokenize("b\u2581") == ["b", "##\u2581"]
    small = [token for token in CASED if token in SPECIAL or token == token.lower()]
    tokenizer = gguf_tokenizer(metadata_of(small))
    assert tokenizer.tokenize("The THE the café") == ["the", "the", "the", "ca", "##fe"]


def test_saved_tokenizers_give_the_same_tokens(tmp_path):
    tokenizer = gguf_tokenizer(metadata_of(CASED))
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["type"] == "WordPiece"
    restored = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert restored("The café [MASK]").input_ids == tokenizer("The café [MASK]").input_ids


def test_a_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(InputError, match="no cls_token, mask_token, which"):
        gguf_tokenizer(metadata_of(["a", "[PAD]", "[SEP]", "[UNK]"]))
    with pytest.raises(InputError, match=r"has 14 tokens.*\n.*mask_token_id: 99"):
        gguf_tokenizer(metadata_of(CASED, mask_token_id=99))


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, ["cafe"]),
        ({"lowercase": True, "strip_accents": True}, ["cafe"]),
        ({"lowercase": False}, ["[UNK]"]),
        ({"strip_accents": False}, ["café"]),
    ],
)
def test_the_file_may_say_how_letters_are_normalised(settings, tokens):
    settings = {f"normalizer.{key}": value for key, value in settings.items()}
    words = [*SPECIAL, "cafe", "café"]
    tokenizer = gguf_tokenizer(metadata_of(words, **roles_of(words), **settings))
    assert tokenizer.tokenize("CAFÉ") == tokens


def test_two_tokens_of_one_spelling_are_refused():
    tokens = [*SPECIAL, "##again", "again"]
    metadata = metadata_of(tokens, **roles_of(tokens))
    listed = metadata[f"{PREFIX}tokens"]
    metadata[f"{PREFIX}token_type"][-1] = CONTROL
    listed[-1] = "##again"
    with pytest.raises(InputError, match="1 tokens have the spelling of another"):
        gguf_tokenizer(metadata)

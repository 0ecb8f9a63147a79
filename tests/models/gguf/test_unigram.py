import io

import numpy as np
import pytest
import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.tokenizer import gguf_tokenizer
from fsl_jax.models.gguf.vocabulary import CONTROL, NORMAL, UNKNOWN, USER_DEFINED

PREFIX = "tokenizer.ggml."
LINES = [
    "The café on the corner serves crème brûlée, and the tea is good.",
    "Numbers like 1984, 3.14159 and 2,000,000 are cut somewhere, or not.",
    "The small house on the corner is wonderful, and so on and so on.",
    "Ein Täßchen Tee, bitte! η γλώσσα μου. Привет, мир. 東京へ行きたい。",
    "translate English to German: the house is wonderful, the houses are small",
] * 6
TEXTS = [
    "",
    " ",
    "\n\t ",
    "the",
    "  the  tea\n is\tgood  ",
    "\u2581the\u2581 tea \u2581",
    "\u2581",
    "ﬁne Ⅷ ① \uff34\uff45\uff41\u3000\uff08tea",
    "e\u0301 cafe\u0301 A\u030a",
    "日本語 🙂 the \u200b tea\u00a0",
    "small" * 20,
]


def trained(**changes):
    """A tiny model of SentencePiece, as T5's was trained."""
    model = io.BytesIO()
    options = {
        "model_type": "unigram",
        "vocab_size": 150,
        "hard_vocab_limit": False,
        "pad_id": 0,
        "eos_id": 1,
        "unk_id": 2,
        "bos_id": -1,
        "minloglevel": 2,
        "num_threads": 1,
        **changes,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, **options
    )
    return model.getvalue()


def characters_of(model):
    return ModelProto.FromString(model).normalizer_spec.precompiled_charsmap


def metadata_of(model, mine=(), **changes):
    """The metadata that llama.cpp's converter writes for a SentencePiece model, without Nones."""
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    numbers = range(len(reference))
    tokens = [reference.id_to_piece(number) for number in numbers]
    kinds = [
        USER_DEFINED
        if tokens[number] in mine
        else CONTROL
        if reference.is_control(number)
        else UNKNOWN
        if reference.is_unknown(number)
        else NORMAL
        for number in numbers
    ]
    entries = {
        "model": "t5",
        "pre": "default",
        "tokens": tokens,
        "scores": np.float32([reference.get_score(number) for number in numbers]),
        "token_type": np.int32(kinds),
        "eos_token_id": 1,
        "padding_token_id": 0,
        "add_space_prefix": True,
        "remove_extra_whitespaces": True,
        "precompiled_charsmap": np.frombuffer(characters_of(model), np.uint8),
        **changes,
    }
    return {PREFIX + key: value for key, value in entries.items() if value is not None}


@pytest.fixture(scope="module")
def t5():
    return trained()


def random_texts(count):
    generator = np.random.default_rng(5)
    words = [word for line in LINES[:5] for word in line.split(" ")]
    others = [
        " ",
        "  ",
        "\n",
        "\t",
        "ß",
        "東",
        "🙂",
        "ﬀ",
        "½",
        "7",
        "<",
        "\u00a0",
    ]
    for _ in range(count):
        picks = generator.integers(1, 25)
        yield "".join(
            generator.choice([generator.choice(words), generator.choice(others)])
            for _ in range(picks)
        )


ALL_TEXTS = [*TEXTS, *LINES[:5], *random_texts(300)]


def require_equal(tokenizer, model, texts):
    reference = sentencepiece.SentencePieceProcessor(model_proto=model)
    for text in texts:
        found = tokenizer(text, add_special_tokens=False).input_ids
        assert found == reference.encode(text), text


def test_tokens_are_those_of_sentencepiece(t5):
    require_equal(gguf_tokenizer(metadata_of(t5)), t5, ALL_TEXTS)


def test_texts_may_be_left_as_they_are():
    model = trained(
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        split_by_whitespace=False,
    )
    plain = metadata_of(
        model,
        add_space_prefix=False,
        remove_extra_whitespaces=False,
        precompiled_charsmap=None,
    )
    require_equal(gguf_tokenizer(plain), model, ALL_TEXTS)


def test_tokens_added_by_users_are_those_of_sentencepiece():
    mine = ["<mine>", "<extra>"]
    model = trained(user_defined_symbols=mine)
    texts = ["the<mine>tea <extra>", " <mine> <mine>house  <extra> is", *ALL_TEXTS]
    require_equal(gguf_tokenizer(metadata_of(model, mine)), model, texts)


def test_texts_end_and_come_back(t5):
    tokenizer = gguf_tokenizer(metadata_of(t5))
    text = "the house is wonderful, crème brûlée"
    tokens = tokenizer(text).input_ids
    assert tokens[-1] == 1 == tokens.count(1)
    assert tokenizer.decode(tokens, skip_special_tokens=True) == text
    assert tokenizer("a", "b").input_ids == tokenizer("a").input_ids + tokenizer("b").input_ids
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token) == (
        "</s>",
        "<pad>",
        "<unk>",
    )


def test_an_encoder_marks_texts_as_xlm_roberta_does(t5):
    encoder = {"general.architecture": "bert", f"{PREFIX}bos_token_id": 0}
    tokenizer = gguf_tokenizer(metadata_of(t5) | encoder)
    first, second = (gguf_tokenizer(metadata_of(t5))(text).input_ids for text in ("the", "tea"))
    assert tokenizer("the").input_ids == [0, *first]
    assert tokenizer("the", "tea").input_ids == [0, *first, 1, *second]
    assert (tokenizer.cls_token, tokenizer.sep_token) == ("<pad>", "</s>")


def test_saved_tokenizers_give_the_same_tokens(t5, tmp_path):
    tokenizer = gguf_tokenizer(metadata_of(t5))
    tokenizer.save_pretrained(tmp_path)
    restored = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert restored(ALL_TEXTS).input_ids == tokenizer(ALL_TEXTS).input_ids


REFUSED = {
    "no scores": ({"scores": None}, "no scores"),
    "nothing unknown": ({"token_type": None}, "0 tokens of the kind unknown"),
    "characters": ({"precompiled_charsmap": np.uint8([9, 9, 9])}, "table of characters"),
    "no end": ({"eos_token_id": None}, "no end-of-sequence token"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused(t5, changes, message):
    with pytest.raises(InputError, match=message):
        gguf_tokenizer(metadata_of(t5, **changes))

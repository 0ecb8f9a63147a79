"""Each key of a tokenizer is read, known to be harmless, or refused by name."""

import numpy as np
import pytest
from gguf.constants import Keys
from tiny_gguf import BYTE_LEVEL, PIECES, UNIGRAM, WORD_PIECES, character_table

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.token_roles import gguf_end_tokens
from fsl_jax.models.gguf.tokenizer import gguf_tokenizer

TOKENIZERS = {"gpt2": BYTE_LEVEL, "llama": PIECES, "t5": UNIGRAM, "bert": WORD_PIECES}
TABLE = np.frombuffer(character_table(), np.uint8)
VALUES = (True, False, 4, "other", ["a b", "b c"], np.int32([1, 3, 2, 1, 1, 1, 1, 1]), TABLE)
# What does not change a tokenizer of any kind, or of this kind.
HARMLESS = {
    "all": {"token_type_count", "add_sep_token"}
    | {f"fim_{name}_token_id" for name in ("pre", "suf", "mid", "pad", "rep", "sep")}
    | {f"{name}_token_id" for name in ("prefix", "suffix", "middle")}
    | {"tokenizer.chat_templates", "tokenizer.chat_template.{name}", "tokenizer.huggingface.json"},
    "gpt2": {"scores", "seperator_token_id", "cls_token_id"},
    "llama": {"pre", "merges", "seperator_token_id", "cls_token_id"},
    "t5": {"pre", "merges", "seperator_token_id", "cls_token_id"},
    "bert": {"pre", "merges", "scores", "add_space_prefix", "remove_extra_whitespaces"},
}
NEWER = ("cls_token_id", "normalizer.lowercase", "normalizer.strip_accents", "a_new_key")
KEYS = {
    *(key for name, key in vars(Keys.Tokenizer).items() if not name.startswith("_")),
    *(f"tokenizer.ggml.{key}" for key in NEWER),
}


def metadata_of(model, **changes):
    metadata = {f"tokenizer.ggml.{key}": value for key, value in TOKENIZERS[model].items()}
    return metadata | {"general.architecture": "none", **changes}


def description(metadata):
    """Everything that a tokenizer does."""
    tokenizer = gguf_tokenizer(metadata)
    special = tokenizer.special_tokens_map
    ends = gguf_end_tokens(metadata)
    return tokenizer.backend_tokenizer.to_str(), special, tokenizer.chat_template, ends


@pytest.mark.parametrize("model", TOKENIZERS)
def test_no_key_is_passed_over_that_could_change_tokens(model):
    plain = description(metadata_of(model))
    passed_over = set()
    for key in KEYS:
        effects = set()
        for value in VALUES:
            try:
                changed = description(metadata_of(model, **{key: value})) != plain
                effects.add("read" if changed else "none")
            except InputError:
                effects.add("refused")
        if effects == {"none"}:
            passed_over.add(key.removeprefix("tokenizer.ggml."))
    assert passed_over <= HARMLESS["all"] | HARMLESS[model]


REFUSED = {
    "unknown": ("llama", "tokenizer.ggml.escape_whitespaces", True),
    "another kind": ("llama", "tokenizer.rwkv.world", "x"),
    "collapsed spaces": ("llama", "tokenizer.ggml.remove_extra_whitespaces", True),
    "table": ("llama", "tokenizer.ggml.precompiled_charsmap", TABLE),
    "no table": ("bert", "tokenizer.ggml.precompiled_charsmap", "x"),
    "first space": ("gpt2", "tokenizer.ggml.add_space_prefix", True),
    "no begin": ("bert", "tokenizer.ggml.add_bos_token", False),
    "no end": ("bert", "tokenizer.ggml.add_eos_token", False),
    "case": ("t5", "tokenizer.ggml.normalizer.lowercase", True),
    "number": ("gpt2", "tokenizer.ggml.add_space_prefix", 0),
}


@pytest.mark.parametrize(("model", "key", "value"), REFUSED.values(), ids=REFUSED)
def test_what_a_kind_does_not_do_is_refused_by_name(model, key, value):
    with pytest.raises(InputError, match=rf"not supported for .*'{model}'(.|\n)*- {key}: "):
        gguf_tokenizer(metadata_of(model, **{key: value}))


def test_settings_that_change_nothing_are_accepted():
    gguf_tokenizer(
        metadata_of(
            "bert",
            **{
                "tokenizer.ggml.add_bos_token": True,
                "tokenizer.ggml.add_eos_token": True,
                "tokenizer.ggml.remove_extra_whitespaces": True,
                "tokenizer.ggml.precompiled_charsmap": np.zeros(0, np.uint8),
                "tokenizer.chat_template.tools": "x",
                "tokenizer.huggingface.json": "{}",
            },
        )
    )

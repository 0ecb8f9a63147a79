"""Soft prompts: where they stand, what sees them, and what they begin as."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from fsl_jax.adapt import Joined, LoRA, PromptTuning, attach, load_adapter, parse_method
from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.registry import format_method
from fsl_jax.adapt.parts.soft_prompt import SUFFIX, with_word_leaves
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError
from fsl_jax.models import append_suffix

IDS = np.arange(10, dtype=np.int32).reshape(2, 5)
MASK = np.array([[True] * 5, [False, True, True, True, False]])
WORDS = np.array([7, 8, 9], np.int32)


def with_words(pretrained, mask=(1, 1, 1)):
    """Parameters whose soft prompt is the vectors of words, and perhaps padding."""
    prompt = pretrained.params["embeddings"]["word"]["embedding"][WORDS]
    prompt = jnp.zeros((len(mask), prompt.shape[1])).at[:3].set(prompt)
    leaves = {"prompt": prompt, "prompt_mask": jnp.array(mask, jnp.float32)}
    return with_word_leaves(pretrained.params, leaves)


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_a_prompt_of_words_is_as_if_they_stood_before_every_text(tiny, hidden, family):
    base = tiny(family)
    ids = np.concatenate([np.tile(WORDS, (2, 1)), IDS], axis=1)
    mask = np.concatenate([np.ones((2, 3), bool), MASK], axis=1)
    read = jax.jit(lambda params, *text: base.apply(params, *text, unembed=False).hidden)
    expected = read(base.params, ids, mask)[:, 3:]
    for prompt_mask in ((1, 1, 1), (1, 1, 1, 0, 0)):
        found = read(with_words(base, prompt_mask), IDS, MASK)
        np.testing.assert_allclose(found[MASK], expected[MASK], rtol=1e-5, atol=1e-5)
    none = read(with_words(base, (0, 0, 0)), IDS, MASK)
    np.testing.assert_allclose(none[MASK], read(base.params, IDS, MASK)[MASK], atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_mask_of_pairs_shows_the_prompt_to_every_token(tiny, family):
    base, mask = tiny(family), np.ones((2, 5), bool)
    params = with_words(base, (1, 1, 1, 0))
    pairs = np.ones((2, 5, 5), bool)
    pairs = np.tril(pairs) if base.config.is_decoder else pairs
    places = np.tile(np.arange(5, dtype=np.int32), (2, 1))
    read = jax.jit(base.apply)
    found = read(params, IDS, pairs, position_ids=places).hidden
    expected = read(params, IDS, mask).hidden
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_was_read_has_the_prompt_in_it(llama):
    params, mask = with_words(llama, (1, 1, 1, 0)), np.ones((2, 5), bool)
    read = jax.jit(llama.apply)
    whole = read(params, IDS, mask)
    assert whole.hidden.shape[1] == whole.logits.shape[1] == 5
    first = read(params, IDS[:, :3], mask[:, :3])
    assert first.key_values.mask.tolist() == [[True] * 3 + [False] + [True] * 3] * 2
    after = read(params, IDS[:, 3:], mask[:, 3:], prefix=first.key_values)
    np.testing.assert_allclose(after.hidden, whole.hidden[:, 3:], rtol=1e-5, atol=1e-5)


def test_the_trunk_has_the_prompt_in_it(llama):
    from fsl_jax.adapt import TopLayers

    params = TopLayers(1).extend(with_words(llama), jax.random.key(0))
    trunk = jax.jit(llama.trunk)(params, IDS, MASK)
    assert trunk.shape[1] == 8
    read = jax.jit(llama.apply)
    found = read(params, IDS, MASK, trunk=trunk).hidden
    expected = read(with_words(llama), IDS, MASK).hidden
    np.testing.assert_allclose(found[MASK], expected[MASK], rtol=1e-5, atol=1e-5)


def test_prompt_and_text_together_are_no_longer_than_the_model_reads(llama):
    params = PromptTuning(12).extend(llama.params, jax.random.key(0))
    with pytest.raises(InputError, match=r"5 tokens and the 12 before them.*the text to 4 tokens"):
        llama.apply(params, IDS, MASK)


def start(method, pretrained, words=()):
    method = method.resolve(pretrained, words)
    word = method.extend(pretrained.params, jax.random.key(0))["embeddings"]["word"]
    assert word["prompt_mask"].tolist() == [1] * method.length
    return np.asarray(word["prompt"]), np.asarray(word["embedding"])


def test_a_prompt_begins_as_what_was_asked_for(tiny_bases):
    base = tiny_bases["llama"]
    drawn, table = start(PromptTuning(6), base)
    assert all((table == row).all(axis=1).any() for row in drawn)
    random, _ = start(PromptTuning(200, "random"), base)
    np.testing.assert_allclose(random.std(), table.std(), rtol=0.1)
    text, _ = start(PromptTuning(4, "text", "w20 w21 w22"), base)
    np.testing.assert_array_equal(text, table[[30, 31, 32, 30]])
    words, _ = start(PromptTuning(3, "labels"), base, ["far east", "west"])
    np.testing.assert_allclose(words[0], (table[7] + table[4]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(words[1], table[6])
    assert (table == words[2]).all(axis=1).any()
    assert start(PromptTuning(1, "labels"), base, ["east", "west"])[0].shape == (1, 16)


def test_a_label_word_is_read_as_it_stands_in_a_text(tiny_bases):
    # As Llama's: a space is put before every text, and spaces are part of the words after them.
    pieces = ["[UNK]", "\u2581", "\u2581:", "\u2581west"]
    tokenizer = Tokenizer(WordLevel({piece: i for i, piece in enumerate(pieces)}, "[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
    assert fast(" west")["input_ids"] == [1, 3]
    base = dataclasses.replace(tiny_bases["llama"], tokenizer=fast)
    assert PromptTuning(2, "labels").resolve(base, ["west"]).tokens == ((3,),)


def test_a_suffix_ends_with_what_it_begins_as(tiny_bases):
    base = tiny_bases["llama"]

    def suffix(*settings, words=()):
        method = PromptTuning(*settings, position="suffix").resolve(base, words)
        word = method.extend(base.params, jax.random.key(0))["embeddings"]["word"]
        return np.asarray(word["suffix"]), np.asarray(word["embedding"])

    text, table = suffix(4, "text", "w20 w21 w22")
    np.testing.assert_array_equal(text, table[[32, 30, 31, 32]])
    shorter, _ = suffix(2, "text", "w20 w21 w22")
    np.testing.assert_array_equal(shorter, table[[31, 32]])
    labels, _ = suffix(3, "labels", words=["west"])
    np.testing.assert_array_equal(labels[2], table[6])
    assert all((table == row).all(axis=1).any() for row in labels[:2])


def test_a_start_that_needs_a_tokenizer_asks_for_one(tiny_bases):
    base = tiny_bases["llama"]
    with pytest.raises(InputError, match="needs a tokenizer: attach what its `resolve"):
        PromptTuning(2, "labels").extend(base.params, jax.random.key(0))
    with pytest.raises(InputError, match="has no tokens for"):
        PromptTuning(2, "labels").resolve(base, [])
    resolved = Joined((LoRA(), PromptTuning(2, "labels"))).resolve(base, ["east"])
    assert resolved.parts[1].tokens == ((4,),)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0}, "length = 0: expected a whole number, from 1 to"),
        ({"start": "vocab"}, "vocabulary"),
        ({"position": "infix"}, "prefix, suffix"),
        ({"start": "text"}, "start='text' and text=''"),
        ({"text": "a"}, "start='vocabulary' and text='a'"),
        ({"tokens": ((5,), ())}, "expected for each vector the tokens"),
        ({"tokens": ((5, -1),)}, "expected for each vector the tokens"),
        ({"length": 1, "tokens": ((5,), (6,))}, "tokens for 2 vectors and a length of 1"),
    ],
)
def test_settings_at_fault_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        PromptTuning(**settings)


def test_a_method_with_tokens_is_read_as_it_was_written():
    method = PromptTuning(3, "text", "a b", ((4,), (5, 6)))
    assert parse_method(format_method(method)) == method


def test_tokens_that_the_model_has_not_are_refused(llama):
    with pytest.raises(InputError, match="the token 50, and the model has 50, numbered from 0"):
        PromptTuning(3, tokens=((4,), (50, 6))).extend(llama.params, jax.random.key(0))


def test_a_second_prompt_is_refused(tiny):
    with pytest.raises(InputError, match="have a soft prompt already"):
        PromptTuning().extend(with_words(tiny("llama")), jax.random.key(0))


def test_what_was_saved_is_loaded_whatever_it_began_as(llama, tmp_path):
    prompt = np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32)
    method = PromptTuning(2, "text", "a b")
    leaves = {"embeddings": {"word": {"prompt": prompt}}}
    save_adapter(tmp_path / "adapter", leaves, method, llama, {})
    adapter = load_adapter(tmp_path / "adapter", llama)
    assert adapter.method == PromptTuning(2)
    np.testing.assert_array_equal(adapter.params["embeddings"]["word"]["prompt"], prompt)
    assert adapter.params["embeddings"]["word"]["prompt_mask"].tolist() == [1, 1]


def test_attached_to_a_model_only_the_prompt_trains(bert):
    forward = lambda params: bert.apply(params, IDS, MASK, unembed=False).hidden  # noqa: E731
    _, mask = attach(bert.params, PromptTuning(2), jax.random.key(0), forward)
    assert mask["embeddings"]["word"] == {
        "embedding": False,
        "prompt": True,
        "prompt_mask": False,
    }


def test_a_suffix_trains_alone_and_is_saved_in_a_kind_of_its_own(llama, tmp_path):
    method = PromptTuning(2, position="suffix")
    forward = lambda params: llama.apply(params, *append_suffix(params, IDS, MASK)).hidden  # noqa: E731
    params, mask = attach(llama.params, method, jax.random.key(0), forward)
    assert [path for path, chosen in flatten(mask).items() if chosen] == [SUFFIX]
    leaves = {"embeddings": {"word": {"suffix": params["embeddings"]["word"]["suffix"]}}}
    save_adapter(tmp_path / "adapter", leaves, method, llama, {})
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["peft_type"] == "FSL_JAX_PROMPT_TUNING"
    adapter = load_adapter(tmp_path / "adapter", llama)
    assert adapter.method == method
    np.testing.assert_array_equal(flatten(adapter.params)[SUFFIX], flatten(params)[SUFFIX])


def test_a_suffix_that_is_not_put_after_the_text_is_an_error(llama):
    forward = lambda params: llama.apply(params, IDS, MASK).hidden  # noqa: E731
    with pytest.raises(InputError, match=SUFFIX):
        attach(llama.params, PromptTuning(2, position="suffix"), jax.random.key(0), forward)

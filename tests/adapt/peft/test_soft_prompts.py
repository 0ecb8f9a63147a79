"""Prompts and prefixes in PEFT's format: what is written is read again, and nothing else is."""

import numpy as np
import pytest
from etils import epath

from fsl_jax.adapt import PrefixTuning, PromptTuning, PTuning, PTuningV2
from fsl_jax.adapt.peft.kinds import KINDS, kind_of_config, kind_of_method
from fsl_jax.errors import InputError

PROMPT = "embeddings/word/prompt"
KEY, VALUE = "layers/attention/prefix_key", "layers/attention/prefix_value"
SOFT = [PromptTuning(2), PTuning(2, hidden=7), PTuning(2, "mlp", 7)]
PREFIXES = [PrefixTuning(2, 7), PTuningV2(2)]


def drawn(method, base):
    """The leaves of an adapter that is trained, drawn by NumPy."""
    random, config = np.random.default_rng(0), base.config
    if method in PREFIXES:
        shape = (config.num_layers, 2, config.num_kv_heads * config.head_dim)
        return {path: random.normal(size=shape).astype(np.float32) for path in (KEY, VALUE)}
    return {PROMPT: random.normal(size=(2, config.hidden_size)).astype(np.float32)}


def written(method, base):
    leaves = drawn(method, base)
    return kind_of_method(method, leaves, base.config).write(leaves, method, base)


def read(values, tensors, base):
    return kind_of_config(values).read(values, tensors, base, epath.Path("somewhere"))


@pytest.mark.parametrize("family", ["bert", "llama", "gemma2"])
@pytest.mark.parametrize("method", SOFT + PREFIXES, ids=lambda method: method.name)
def test_what_is_written_is_read_again(tiny_bases, family, method):
    base = tiny_bases[family]
    tensors, values = written(method, base)
    found, leaves = read(values, tensors, base)
    assert found == method
    for path, leaf in drawn(method, base).items():
        np.testing.assert_allclose(leaves.pop(path), leaf, rtol=1e-6)
    [(path, mask)] = leaves.items()
    assert path in (f"{PROMPT}_mask", "layers/attention/prefix_mask")
    assert mask.all()
    assert mask.shape[-1] == 2


def test_a_model_that_multiplies_words_has_prompts_in_units_of_its_vocabulary(tiny_bases):
    base = tiny_bases["gemma2"]
    tensors, _ = written(SOFT[0], base)
    np.testing.assert_allclose(tensors["prompt_embeddings"], 4 * drawn(SOFT[0], base)[PROMPT])


def test_one_type_of_peft_is_told_apart_by_what_computed_it(tiny_bases):
    base = tiny_bases["llama"]
    tensors, values = written(PTuningV2(2), base)
    assert values["peft_type"] == "PREFIX_TUNING"
    assert not values["prefix_projection"]
    assert read(values | {"prefix_projection": True}, tensors, base)[0] == PrefixTuning(2)


def test_all_that_is_wrong_is_listed(tiny_bases):
    base = tiny_bases["llama"]
    tensors, values = written(PTuningV2(2), base)
    values |= {"num_layers": 3, "modules_to_save": ["lm_head"], "a_later_invention": 1}
    tensors = {
        "prompt_embeddings": np.zeros((3, 32), np.float32),
        "base_model.model.lm_head.weight": np.zeros((64, 16), np.float32),
    }
    with pytest.raises(InputError) as error:
        read(values, tensors, base)
    assert [line.strip(" -") for line in str(error.value).splitlines()[1:]] == [
        "a_later_invention is 1, which is not supported",
        "base_model.model.lm_head.weight is an embedding of its own in PEFT, and tiny-llama has "
        "one for reading and for writing. Merge the adapter in PEFT (`merge_and_unload`), untie "
        "the embeddings there, and load the model",
        "num_layers is 3; expected 2",
        "wrong shape: prompt_embeddings is [3, 32], expected [2, 32]",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_virtual_tokens": None}, "num_virtual_tokens is None; expected a whole number"),
        ({"token_dim": 8}, "token_dim is 8; expected 16"),
        ({"num_transformer_submodules": 2}, "num_transformer_submodules is 2; expected 1"),
    ],
)
def test_another_size_is_refused(tiny_bases, change, message):
    base = tiny_bases["bert"]
    tensors, values = written(SOFT[0], base)
    with pytest.raises(InputError, match=message):
        read(values | change, tensors, base)
    with pytest.raises(InputError, match="missing: prompt_embeddings"):
        read(values, {}, base)


def test_an_encoder_decoder_has_prompts_twice_of_which_the_first_is_read(tiny):
    base = tiny("t5")
    tensors, values = written(SOFT[0], base)
    prompt = drawn(SOFT[0], base)[PROMPT]
    assert values["num_transformer_submodules"] == 2
    np.testing.assert_array_equal(tensors["prompt_embeddings"], [*prompt, *(0 * prompt)])
    method, leaves = read(values, tensors, base)
    assert method == SOFT[0]
    np.testing.assert_array_equal(leaves[PROMPT], prompt)
    assert leaves[f"{PROMPT}_mask"].tolist() == [1, 1]
    # Some are saved without what is not read.
    short = {"prompt_embeddings": prompt}
    leaves = read(values | {"num_transformer_submodules": 1}, short, base)[1]
    np.testing.assert_array_equal(leaves[PROMPT], prompt)
    with pytest.raises(InputError, match=r"is \[2, 16\], expected \[4, 16\]"):
        read(values, short, base)


@pytest.mark.parametrize("method", PREFIXES, ids=lambda method: method.name)
def test_of_an_encoder_decoder_every_second_pair_is_the_decoders(tiny, method):
    base = tiny("t5")
    random = np.random.default_rng(0)
    paths = [f"decoder/{KEY}", f"decoder/{VALUE}"]
    leaves = {path: random.normal(size=(3, 2, 8)).astype(np.float32) for path in paths}
    tensors, values = kind_of_method(method, leaves, base.config).write(leaves, method, base)
    assert (values["num_layers"], values["num_transformer_submodules"]) == (6, 2)
    pairs = tensors["prompt_embeddings"].reshape(2, 6, 2, 8)
    assert not pairs[:, 1::2].any()
    found, again = read(values, tensors, base)
    assert found == method
    assert again.pop("decoder/layers/attention/prefix_mask").shape == (3, 2)
    for path, leaf in leaves.items():
        np.testing.assert_array_equal(again[path], leaf)
    with pytest.raises(InputError, match="num_layers is 2; expected 6"):
        read(values | {"num_layers": 2}, tensors, base)


def test_all_families_have_these_kinds(tiny):
    config = tiny("t5").config
    assert all(kind_of_method(method, [PROMPT], config) for method in SOFT)
    assert not any(kind_of_method(method, [KEY, VALUE], config) for method in PREFIXES)
    assert {kind.method for kind in KINDS} >= {PromptTuning, PTuning, PrefixTuning, PTuningV2}

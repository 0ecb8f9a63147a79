"""Prompts of an encoder-decoder's encoder, and learned prefixes of its decoder.

Both are held against words that were read, and against PEFT on the same weights.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from fsl_jax.adapt import (
    PrefixTuning,
    PromptTuning,
    PTuning,
    PTuningV2,
    attach,
    combine,
    load_adapter,
    partition,
    save_adapter,
)
from fsl_jax.adapt.parts.learned_prefix import with_leaves
from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.families.t5.checkpoint import t5_json, t5_tensor_map
from fsl_jax.models.tensors.writing import write_tensors

pytestmark = [
    # This release of PEFT asks transformers for an attribute that has a new name there.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
]

KEY = jax.random.key(0)
WORDS = np.array([7, 8, 9], np.int32)
IDS = np.arange(12, dtype=np.int32).reshape(2, 6)
MASK = np.array([[True] * 6, [False] + [True] * 3 + [False] * 2])
DECODER_IDS = np.arange(20, 30, dtype=np.int32).reshape(2, 5)
DECODER_MASK = np.ones((2, 5), bool)
METHODS = [PromptTuning(3), PTuning(3, hidden=4), PrefixTuning(3, 4), PTuningV2(3)]


@pytest.fixture(scope="module")
def t5(tiny):
    return tiny("t5")


@functools.cache
def outputs_of(pretrained):
    """A function from parameters and texts to what `apply` gives, compiled once for each shape."""

    def run(params, ids, mask):
        return pretrained.apply(params, ids, mask, decoder_input_ids=DECODER_IDS)

    return jax.jit(run)


def prompted(t5, mask):
    """Parameters whose soft prompt is the vectors of words and padding, which the mask says."""
    prompt = t5.params["embeddings"]["word"]["embedding"][WORDS]
    prompt = jnp.concatenate([prompt, jnp.ones((len(mask) - 3, prompt.shape[1]))])
    leaves = {"prompt": prompt, "prompt_mask": jnp.array(mask, jnp.float32)}
    return with_word_leaves(t5.params, leaves)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("prompt_mask", "words"), [((1, 1, 1), 3), ((1, 1, 1, 0, 0), 3), ((1, 1, 0), 2), ((0, 0, 0), 0)]
)
def test_a_prompt_of_words_is_as_if_the_encoder_read_them(t5, prompt_mask, words):
    found = outputs_of(t5)(prompted(t5, prompt_mask), IDS, MASK)
    ids = np.concatenate([np.tile(WORDS[:words], (2, 1)), IDS], axis=1)
    mask = np.concatenate([np.ones((2, words), bool), MASK], axis=1)
    expected = outputs_of(t5)(t5.params, ids, mask)
    close(found.logits, expected.logits)
    assert found.encoder_hidden.shape == (2, 6, 16)
    close(found.encoder_hidden[MASK], expected.encoder_hidden[:, words:][MASK])


def test_stacked_prompts_of_different_lengths_are_as_alone(t5):
    runs = [prompted(t5, mask) for mask in ((1, 1, 1, 0), (1, 0, 0, 0))]
    leaves = [run["embeddings"]["word"] for run in runs]
    own = [{name: each[name] for name in ("prompt", "prompt_mask")} for each in leaves]
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *own)
    stacked = jax.jit(
        jax.vmap(lambda word: outputs_of(t5)(with_word_leaves(t5.params, word), IDS, MASK).logits)
    )(stacked)
    for found, run in zip(stacked, runs, strict=True):
        close(found, outputs_of(t5)(run, IDS, MASK).logits)


def test_what_is_encoded_has_the_prompt_in_it(t5):
    params = prompted(t5, (1, 1, 1, 0))
    encoded = jax.jit(t5.encode)(params, IDS, MASK)
    assert encoded.mask[:, :4].tolist() == [[True, True, True, False]] * 2
    np.testing.assert_array_equal(encoded.mask[:, 4:], MASK)
    found = jax.jit(t5.decode)(params, DECODER_IDS, DECODER_MASK, encoded)
    close(found.logits, outputs_of(t5)(params, IDS, MASK).logits)


def test_a_head_on_the_encoder_reads_the_tokens_after_the_prompt(t5):
    params, pooling = prompted(t5, (1, 1, 1, 0)), dataclasses.replace(t5, head="mean_features")
    found = jax.jit(pooling.apply)(params, IDS, MASK)
    hidden = outputs_of(t5)(params, IDS, MASK).encoder_hidden
    close(found.hidden, hidden)
    close(found.features[0], hidden[0].mean(0))


def test_a_mask_of_pairs_shows_the_prompt_to_every_token(t5):
    params = prompted(t5, (1, 1, 1, 0))
    pairs = np.repeat(MASK[:, None, :], 6, axis=1)
    places = np.tile(np.arange(6, dtype=np.int32), (2, 1))
    encoded = jax.jit(t5.encode)(params, IDS, pairs, position_ids=places)
    found = jax.jit(t5.decode)(params, DECODER_IDS, DECODER_MASK, encoded)
    close(found.logits, outputs_of(t5)(params, IDS, MASK).logits)


@pytest.mark.parametrize("method", [PrefixTuning(2), PTuningV2(2)])
def test_a_prefix_without_a_decoder_to_put_it_in_is_refused(t5, method):
    encoder = {name: leaves for name, leaves in t5.params.items() if name != "decoder"}
    with pytest.raises(InputError, match="without its decoder: load it without a head"):
        method.extend(encoder, KEY)


def test_vectors_after_the_tokens_are_refused(t5):
    with pytest.raises(InputError, match=r"an encoder-decoder has two.*position='prefix'"):
        PromptTuning(position="suffix").extend(t5.params, KEY)


@pytest.fixture(scope="module")
def read_words(t5):
    """Return the decoder's keys and values of words, and a learned prefix of the same."""
    encoded = jax.jit(t5.encode)(t5.params, IDS, MASK)
    ids = np.array([WORDS], np.int32)
    one = jax.tree.map(lambda each: each[:, :1] if each.ndim == 5 else each[:1], encoded)
    read = jax.jit(t5.decode)(t5.params, ids, np.ones((1, 3), bool), one).key_values
    keys, values = (each[:, 0].reshape(3, 3, -1) for each in (read.keys, read.values))
    return encoded, read, {"prefix_key": keys, "prefix_value": values}


@pytest.mark.parametrize("padding", [0, 2])
def test_a_prefix_of_words_is_as_if_the_decoder_had_read_them(t5, read_words, padding):
    encoded, read, leaves = read_words
    pad = ((0, 0), (0, padding), (0, 0))
    leaves = {name: jnp.pad(leaf, pad, constant_values=9.0) for name, leaf in leaves.items()}
    leaves["prefix_mask"] = jnp.pad(jnp.ones((3, 3)), pad[:2])
    params = with_leaves(t5.params, {"decoder": leaves})
    decode = jax.jit(t5.decode)
    expected = decode(t5.params, DECODER_IDS, DECODER_MASK, encoded, prefix=read)
    whole = decode(params, DECODER_IDS, DECODER_MASK, encoded)
    close(whole.logits, expected.logits)
    # Later steps see it too.
    first = decode(params, DECODER_IDS[:, :3], DECODER_MASK[:, :3], encoded)
    assert first.key_values.mask.shape == (2, 3)
    rest = (DECODER_IDS[:, 3:], DECODER_MASK[:, 3:])
    after = decode(params, *rest, encoded, prefix=first.key_values)
    close(after.logits, expected.logits[:, 3:])


def test_what_stands_before_takes_from_the_longest_sequence(t5):
    prompt = PromptTuning(510).extend(t5.params, KEY)
    prefix = PTuningV2(510).extend(t5.params, KEY)
    ids = DECODER_IDS
    with pytest.raises(InputError, match="6 tokens and the 510 before them"):
        t5.apply(prompt, IDS, MASK, decoder_input_ids=ids)
    with pytest.raises(InputError, match="6 tokens and the 510 before them"):
        t5.encode(prompt, IDS, MASK)
    with pytest.raises(InputError, match="5 tokens and the 510 before them"):
        t5.apply(prefix, IDS, MASK, decoder_input_ids=ids)
    with pytest.raises(InputError, match="5 tokens and the 510 before them"):
        t5.decode(prefix, ids, DECODER_MASK, t5.encode(prefix, IDS, MASK))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_only_what_the_method_adds_trains_and_it_is_read(t5, method):
    def forward(params):
        return outputs_of(t5)(params, IDS, MASK).logits

    _, mask = attach(t5.params, method, KEY, forward)
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    added = {
        "prompt_tuning": {"embeddings"},
        "p_tuning": {"prompt_encoder"},
        "prefix_tuning": {"prefix_encoder"},
        "p_tuning_v2": {"decoder"},
    }
    assert {path.partition("/")[0] for path in trained} == added[method.name]


def torch_twin(t5):
    """The same model in PyTorch."""
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**t5_json(t5.config)))
    tensors = write_tensors(flatten(t5.params), t5_tensor_map(t5.config))
    state = {name: torch.tensor(np.asarray(tensor)) for name, tensor in tensors}
    model.load_state_dict(state, strict=False)
    model.tie_weights()
    return model.eval()


def torch_logits(model):
    arrays = {
        "input_ids": IDS,
        "attention_mask": MASK,
        "decoder_input_ids": DECODER_IDS,
        "decoder_attention_mask": DECODER_MASK,
    }
    return model(**{name: torch.tensor(each).long() for name, each in arrays.items()}).logits


def error(ours, theirs):
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_peft_loads_what_was_saved_and_computes_the_same(t5, tmp_path, method):
    extended = method.extend(t5.params, KEY)
    trained = method.reparametrize(extended)
    random = np.random.default_rng(1)
    leaves = {
        path: random.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in flatten(trained).items()
        if path.endswith(("/prompt", "/prefix_key", "/prefix_value"))
    }
    save_adapter(tmp_path / "adapter", unflatten(leaves), method, t5, {})
    model = peft.PeftModel.from_pretrained(torch_twin(t5), str(tmp_path / "adapter")).eval()
    with torch.no_grad():
        expected = torch_logits(model).numpy()
    adapter = load_adapter(tmp_path / "adapter", t5)
    assert adapter.method == method
    assert error(outputs_of(t5)(adapter.params, IDS, MASK).logits, expected) < 1e-5
    assert error(outputs_of(t5)(t5.params, IDS, MASK).logits, expected) > 1e-2


def peft_configs():
    """Prompts of PEFT's own; with an even number of layers it has two layers share a prefix."""
    common = {"task_type": "SEQ_2_SEQ_LM", "num_virtual_tokens": 3}
    prefix = {"token_dim": 8, "num_attention_heads": 2}
    return [
        peft.PromptTuningConfig(**common),
        peft.PromptTuningConfig(**common, num_transformer_submodules=1),
        peft.PromptEncoderConfig(**common, encoder_hidden_size=5),
        peft.PrefixTuningConfig(**common, **prefix, num_layers=3),
        peft.PrefixTuningConfig(**common, **prefix, num_layers=4),
    ]


@pytest.mark.parametrize("config", peft_configs(), ids=lambda config: config.peft_type.value)
def test_what_peft_saved_is_loaded_and_computes_the_same(t5, tmp_path, config):
    torch.manual_seed(0)
    model = peft.get_peft_model(torch_twin(t5), config).eval()
    model.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        expected = torch_logits(model).numpy()
    params = load_adapter(tmp_path / "adapter", t5).params
    assert error(outputs_of(t5)(params, IDS, MASK).logits, expected) < 1e-5
    assert error(outputs_of(t5)(t5.params, IDS, MASK).logits, expected) > 1e-2


def test_gradients_of_a_prompt_and_of_a_prefix_are_pefts(t5, tmp_path):
    def loss(trainable, frozen):
        logits = outputs_of(t5)(combine(trainable, frozen), IDS, MASK).logits
        return jnp.square(logits).mean()

    for config in (peft_configs()[0], peft_configs()[3]):
        model = peft.get_peft_model(torch_twin(t5), config).eval()
        place = tmp_path / config.peft_type.value
        model.save_pretrained(place)
        adapter = load_adapter(place, t5)
        gradient = jax.jit(jax.grad(loss))(*partition(adapter.params, adapter.mask))
        found = flatten(gradient)
        torch_logits(model).square().mean().backward()
        expected = model.prompt_encoder["default"].embedding.weight.grad.numpy()
        if config.peft_type.value == "PROMPT_TUNING":
            assert error(found["embeddings/word/prompt"], expected[:3]) < 1e-4
            continue
        pairs = expected.reshape(3, 3, 2, 8)[:, [0, 2, 1]].transpose(2, 1, 0, 3)
        for leaf, pair in zip(("key", "value"), pairs, strict=True):
            assert error(found[f"decoder/layers/attention/prefix_{leaf}"], pair) < 1e-4

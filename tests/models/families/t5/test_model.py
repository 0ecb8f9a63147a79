"""T5, T5 1.1 and mT5 against transformers, and the decoder step by step."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax.traverse_util import flatten_dict
from safetensors.numpy import save_file

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.layers import NO_DROPOUT
from fsl_jax.models.families.t5.checkpoint import t5_config, t5_json, t5_tensor_map
from fsl_jax.models.families.t5.layers import T5MLP
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.tensors.writing import write_tensors

SIZES = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 48,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "layer_norm_epsilon": 1e-5,
    "decoder_start_token_id": 0,
    "n_positions": 24,
}


def save_as_old_releases_did(model, directory):
    """With a copy of the embedding for each stack and an output embedding, as FLAN-T5 has them."""
    tensors = {name: weight.numpy(force=True) for name, weight in model.state_dict().items()}
    values = SIZES | {
        "model_type": "t5",
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }
    directory.mkdir(exist_ok=True)
    save_file(
        {name: tensor.copy() for name, tensor in tensors.items()}, directory / "model.safetensors"
    )
    (directory / "config.json").write_text(json.dumps(values))


def reference(kind, torch_reference):
    """A random model of transformers; of the later kinds the output embedding is its own."""
    import torch

    if kind == "t5":
        config = transformers.T5Config(**SIZES, feed_forward_proj="relu")
        model = transformers.T5ForConditionalGeneration(config)
    elif kind == "t5 1.1":
        config = transformers.T5Config(
            **SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False
        )
        model = transformers.T5ForConditionalGeneration(config)
    else:
        model = transformers.MT5ForConditionalGeneration(transformers.MT5Config(**SIZES))
    if kind != "t5":
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(40, 32))
    model = torch_reference.randomise(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".q.weight"):
                # T5 does not scale its queries: their weights are small instead.
                weight.mul_(SIZES["d_kv"] ** -0.5)
    return model


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, torch_reference, word_tokenizer):
    """By kind, what we load from where a model of transformers was saved, and that model."""

    @functools.cache
    def make(kind):
        model = reference(kind, torch_reference)
        model.set_attn_implementation("eager")
        directory = tmp_path_factory.mktemp("t5")
        if kind == "t5 1.1":
            save_as_old_releases_did(model, directory)
        else:
            model.save_pretrained(directory)
        word_tokenizer.save_pretrained(directory)
        return fsl_jax.load(str(directory)), model

    return make


@pytest.fixture(params=["t5", "t5 1.1", "mt5"])
def pair(request, pairs):
    """Return the loaded model and that of transformers, of each kind."""
    return pairs(request.param)


@pytest.fixture
def one(pairs):
    """T5 1.1 as we load it, for what does not depend on the kind."""
    return pairs("t5 1.1")[0]


LENGTHS, DECODER_LENGTHS = [9, 5, 1], [3, 6, 1]


def batch(side, lengths, seed):
    """Tokens of mixed lengths and their mask, padded on a side."""
    ids = np.random.default_rng(seed).integers(2, 40, (3, max(lengths)), dtype=np.int32)
    mask = np.arange(max(lengths))[None, :] < np.array(lengths)[:, None]
    return ids, mask[:, ::-1].copy() if side == "left" else mask


@functools.cache
def jitted(method):
    """A method of `Pretrained`, compiled once for all tests that give it the same shapes.

    What it returns is NumPy's, of which parts are taken without compiling anything.
    """
    compiled = jax.jit(method, static_argnames="dropout" if method.__name__ == "apply" else ())
    return lambda *arguments, **options: jax.device_get(compiled(*arguments, **options))


@functools.cache
def gradient_of(pretrained):
    """The gradient of a weighted sum of logits, and what `apply` gave."""

    def loss(params, weights, ids, mask, decoder_ids, decoder_mask):
        options = {"decoder_input_ids": decoder_ids, "decoder_attention_mask": decoder_mask}
        output = pretrained.apply(params, ids, mask, **options)
        return jnp.sum(output.logits * weights), output

    compiled = jax.jit(jax.grad(loss, has_aux=True))
    return lambda *arguments: jax.device_get(compiled(*arguments))


def torch_output(model, ids, mask, decoder_ids, decoder_mask):
    import torch

    names = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask")
    inputs = (ids, mask, decoder_ids, decoder_mask)
    return model(
        **{name: torch.tensor(each).long() for name, each in zip(names, inputs, strict=True)}
    )


def error(ours, theirs):
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


@pytest.mark.parametrize(("side", "other"), [("right", "left"), ("left", "right")])
def test_logits_and_gradients_agree_with_transformers(pair, side, other):
    import torch

    pretrained, model = pair
    ids, mask = batch(side, LENGTHS, 0)
    decoder_ids, decoder_mask = batch(other, DECODER_LENGTHS, 1)
    weights = np.random.default_rng(2).standard_normal((3, 6, 40), np.float32)
    weights *= decoder_mask[:, :, None]
    inputs = (ids, mask, decoder_ids, decoder_mask)
    gradient, output = gradient_of(pretrained)(pretrained.params, weights, *inputs)
    model.zero_grad()
    expected = torch_output(model, *inputs)
    (expected.logits * torch.tensor(weights)).sum().backward()
    encoder_hidden = expected.encoder_last_hidden_state.numpy(force=True)
    assert error(output.encoder_hidden[mask], encoder_hidden[mask]) < 1e-5
    logits = expected.logits.numpy(force=True)
    assert error(output.logits[decoder_mask], logits[decoder_mask]) < 1e-5
    leaves = flatten_dict(gradient, sep="/")
    for name, found in write_tensors(leaves, t5_tensor_map(pretrained.config)):
        assert error(found, model.get_parameter(name).grad.numpy()) < 1e-5, name


def test_a_token_left_out_in_the_middle_keeps_its_place_as_in_transformers(pair):
    pretrained, model = pair
    inputs = (*batch("right", LENGTHS, 0), *batch("right", DECODER_LENGTHS, 1))
    for mask in inputs[1::2]:
        mask[0, 1] = False
    _, output = gradient_of(pretrained)(pretrained.params, np.zeros((3, 6, 40)), *inputs)
    logits = torch_output(model, *inputs).logits.numpy(force=True)
    assert error(output.logits[inputs[3]], logits[inputs[3]]) < 1e-5


@pytest.mark.parametrize("kind", ["sizes", "embeddings"])
def test_what_a_checkpoint_says_is_in_the_config(pair, kind):
    pretrained, model = pair
    sizes = pretrained.config
    if kind == "sizes":
        assert (sizes.num_layers, sizes.num_decoder_layers, sizes.max_length) == (2, 3, 24)
        assert (sizes.num_buckets, sizes.max_distance, sizes.norm_epsilon) == (8, 12, 1e-5)
        assert sizes.family == model.config.model_type
    else:
        is_old = model.config.model_type == "t5" and sizes.feed_forward == "relu"
        assert sizes.tied == is_old == ("unembedding" not in pretrained.params)
        assert sizes.scaled == is_old


@pytest.fixture
def texts():
    """Three texts and what a decoder reads of each, without padding among the latter."""
    return batch("left", LENGTHS, 0), batch("right", [6, 6, 6], 1)


def whole(pretrained, texts):
    (ids, mask), (decoder_ids, decoder_mask) = texts
    options = {"decoder_input_ids": decoder_ids, "decoder_attention_mask": decoder_mask}
    return jitted(pretrained.apply)(pretrained.params, ids, mask, **options)


@pytest.mark.parametrize("side", ["left", "right"])
def test_step_by_step_is_one_full_pass(one, side):
    texts = batch("left", LENGTHS, 0), batch(side, [6, 4, 2], 1)
    expected = whole(one, texts)
    (ids, mask), (decoder_ids, real) = texts
    encoded = jitted(one.encode)(one.params, ids, mask)
    positions = np.maximum(np.cumsum(real, axis=1) - 1, 0).astype(np.int32)
    cache = KeyValues(*np.zeros((2, *expected.key_values.keys.shape), np.float32), ~real & real)

    for slot in range(6):
        step = slice(slot, slot + 1)
        output = jitted(one.decode)(
            one.params,
            decoder_ids[:, step],
            real[:, step],
            encoded,
            position_ids=positions[:, step],
            prefix=cache,
        )
        seen = real[:, slot]
        assert error(output.logits[seen, 0], expected.logits[seen, slot]) < 1e-5
        cache.keys[:, :, step] = output.key_values.keys
        cache.values[:, :, step] = output.key_values.values
        cache.mask[:, slot] = seen
    np.testing.assert_allclose(cache.keys[:, real], expected.key_values.keys[:, real], atol=1e-5)


def test_positions_are_counted_on_after_a_prefix(one, texts):
    expected = whole(one, texts)
    encoded = jitted(one.encode)(one.params, *texts[0])
    ids, mask = texts[1]
    first = jitted(one.decode)(one.params, ids[:, :4], mask[:, :4], encoded)
    rest = jitted(one.decode)(one.params, ids[:, 4:], mask[:, 4:], encoded, prefix=first.key_values)
    assert error(rest.logits, expected.logits[:, 4:]) < 1e-5


def test_what_is_encoded_or_read_once_is_shared_by_all_rows(one, texts):
    """An encoded text of batch 1, and a prefix of batch 1."""
    (ids, mask), (decoder_ids, real) = texts
    decoder_ids[:, :3] = decoder_ids[:1, :3]
    same = np.repeat(ids[1:2], 3, axis=0), np.repeat(mask[1:2], 3, axis=0)
    expected = whole(one, (same, (decoder_ids, real)))
    encoded = jitted(one.encode)(one.params, ids[1:2], mask[1:2])
    decode = jitted(one.decode)
    output = decode(one.params, decoder_ids, real, encoded)
    assert error(output.logits, expected.logits) < 1e-5
    before = decode(one.params, decoder_ids[:1, :3], real[:1, :3], encoded).key_values
    rest = decode(one.params, decoder_ids[:, 3:], real[:, 3:], encoded, prefix=before)
    assert error(rest.logits, expected.logits[:, 3:]) < 1e-5


def test_only_distances_of_positions_count(one, texts):
    (ids, mask), (decoder_ids, real) = texts
    expected = whole(one, texts)
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0).astype(np.int32)
    decoder_positions = np.tile(np.arange(6, dtype=np.int32), (3, 1))

    def logits(positions, decoder_positions):
        encoded = jitted(one.encode)(one.params, ids, mask, position_ids=positions)
        options = {"position_ids": decoder_positions}
        return jitted(one.decode)(one.params, decoder_ids, real, encoded, **options).logits

    assert error(logits(positions + 5, decoder_positions + 7), expected.logits) < 1e-5
    assert error(logits(2 * positions, decoder_positions), expected.logits) > 1e-3
    assert error(logits(positions, 2 * decoder_positions), expected.logits) > 1e-3


def test_a_mask_of_pairs_is_taken_as_it_is(one, texts):
    (ids, mask), (decoder_ids, real) = texts
    pairs = np.repeat(mask[:, None, :], mask.shape[1], axis=1)
    causal = np.tril(np.ones((6, 6), bool))[None] & real[:, None, :]
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0).astype(np.int32)
    encoded = jitted(one.encode)(one.params, ids, pairs, position_ids=positions)
    positions = np.tile(np.arange(6, dtype=np.int32), (3, 1))
    output = jitted(one.decode)(one.params, decoder_ids, causal, encoded, position_ids=positions)
    assert error(output.logits, whole(one, texts).logits) < 1e-5
    with pytest.raises(InputError, match="position_ids are missing"):
        one.encode(one.params, ids, pairs)


def test_some_rows_of_the_output_embedding_are_those_of_all(pairs):
    pretrained, _ = pairs("t5")
    hidden = jnp.ones((1, 2, 32))
    rows = jnp.array([3, 7], jnp.int32)
    logits = pretrained.unembed(pretrained.params, hidden)
    found = pretrained.unembed(pretrained.params, hidden, rows)
    np.testing.assert_allclose(found, np.asarray(logits)[:, :, [3, 7]], atol=1e-5)


def test_a_perceptron_gated_by_silu_is_that_of_transformers(torch_reference):
    """FLAN-UL2 has one: T5 1.1 in all else."""
    import torch
    from transformers.models.t5.modeling_t5 import T5LayerFF

    values = SIZES | {"feed_forward_proj": "gated-silu"}
    theirs = torch_reference.randomise(T5LayerFF(transformers.T5Config(**values)))
    weights = {
        name.split(".")[-2]: jnp.asarray(weight.numpy(force=True).T)
        for name, weight in theirs.named_parameters()
    }
    params = {
        "norm": {"scale": weights["layer_norm"]},
        "gate": {"kernel": weights["wi_0"]},
        "up": {"kernel": weights["wi_1"]},
        "down": {"kernel": weights["wo"]},
    }
    x = np.random.default_rng(0).standard_normal((2, 3, 32), np.float32)
    module = T5MLP(t5_config("config.json", values, []))
    found = module.apply({"params": params}, jnp.asarray(x), NO_DROPOUT)
    expected = theirs(torch.tensor(x)).numpy(force=True) - x
    assert error(np.asarray(found), expected) < 1e-5


def test_dropout_is_drawn_from_its_key(one, texts):
    (ids, mask), (decoder_ids, _) = texts

    def logits(seed):
        options = {"decoder_input_ids": decoder_ids, "key": jax.random.key(seed)}
        return jitted(one.apply)(one.params, ids, mask, dropout=0.1, **options).logits

    assert error(logits(0), logits(0)) == 0
    assert error(logits(0), logits(1)) > 1e-2
    assert error(logits(0), whole(one, texts).logits) > 1e-2


def test_half_precision_gives_float32_logits_that_are_near(one, texts):
    half = jax.tree.map(lambda leaf: np.asarray(leaf).astype(jnp.bfloat16), one.params)
    module = type(one.module)(one.config, jnp.dtype(jnp.bfloat16))
    (ids, mask), (decoder_ids, real) = texts
    variables = {"params": half}
    options = {"decoder_input_ids": decoder_ids, "decoder_attention_mask": real}
    output = jitted(module.apply)(variables, ids, mask, **options)
    assert output.logits.dtype == jnp.float32
    assert output.hidden.dtype == output.key_values.keys.dtype == jnp.bfloat16
    assert error(output.logits, whole(one, texts).logits) < 0.1


def ones(length):
    """One text of so many tokens, and its mask."""
    return np.ones((1, length), np.int32), np.ones((1, length), bool)


def test_the_longest_sequence_is_read_and_a_longer_one_is_an_error(one):
    longest, mask = ones(24)
    encoded = jitted(one.encode)(one.params, longest, mask)
    output = jitted(one.decode)(one.params, longest, mask, encoded)
    assert np.all(np.isfinite(output.logits))
    with pytest.raises(InputError, match="25 tokens are more than"):
        one.encode(one.params, *ones(25))
    with pytest.raises(InputError, match="25 tokens are more than"):
        one.apply(one.params, longest, mask, decoder_input_ids=ones(25)[0])
    with pytest.raises(InputError, match="1 token and the 24 before them are more than"):
        one.decode(one.params, *ones(1), encoded, prefix=output.key_values)


def test_missing_decoder_tokens_are_asked_for(one):
    with pytest.raises(InputError, match=r"Give the decoder's tokens.*begin with the token 0"):
        one.apply(one.params, *ones(3))


def test_what_only_other_models_take_is_an_error(one, tiny_llama):
    ids, mask = ones(3)
    hidden = jnp.zeros((1, 3, 32))
    with pytest.raises(InputError, match="takes no prefix"):
        one.apply(one.params, ids, mask, trunk=hidden, decoder_input_ids=ids)
    with pytest.raises(InputError, match="two stacks"):
        one.trunk(one.params, ids, mask)
    with pytest.raises(InputError, match="no encoder-decoder"):
        tiny_llama.apply(tiny_llama.params, ids, mask, decoder_input_ids=ids)
    with pytest.raises(InputError, match="no encoder-decoder"):
        tiny_llama.encode(tiny_llama.params, ids, mask)


def test_transformers_reads_the_config_that_we_write(pair):
    pretrained, model = pair
    kind = {"t5": transformers.T5Config, "mt5": transformers.MT5Config}[pretrained.config.family]
    written = kind(**t5_json(pretrained.config)).to_dict()
    expected = model.config.to_dict()
    for name in (*SIZES, "feed_forward_proj", "dense_act_fn", "is_gated_act", "model_type"):
        assert written[name] == expected[name], name
    assert written.get("scale_decoder_outputs") == expected.get("scale_decoder_outputs")


def test_attention_has_one_implementation_alone(one):
    with pytest.raises(InputError, match="bias to scores"):
        fsl_jax.load(one.name, attention="xla")

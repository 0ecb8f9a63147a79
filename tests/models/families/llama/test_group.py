"""Every decoder that is built like Llama, against the model of transformers that it comes from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from flax.traverse_util import flatten_dict
from jax.sharding import AxisType

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import FAMILIES, initialise
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.tensors.writing import write_tensors
from fsl_jax.sharding import parameter_shardings

LENGTH = 24
CUT = 10
SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": LENGTH,
    "attn_implementation": "eager",
}
BASE = {"rope_theta": 500.0}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
GEMMA = {"query_pre_attn_scalar": 24, "sliding_window": 3}
VARIANTS = {
    "llama": (
        transformers.LlamaForCausalLM,
        {
            "rope_parameters": {**LLAMA3, **BASE, "original_max_position_embeddings": 16},
            "attention_bias": True,
            "mlp_bias": True,
        },
    ),
    "mistral": (
        transformers.MistralForCausalLM,
        {"rope_parameters": {"rope_type": "default", **BASE}, "sliding_window": 4},
    ),
    "qwen2": (
        transformers.Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "qwen3": (
        transformers.Qwen3ForCausalLM,
        {"rope_parameters": {"rope_type": "default", **BASE}, "tie_word_embeddings": True},
    ),
    "gemma2": (
        transformers.Gemma2ForCausalLM,
        {**GEMMA, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 4.0},
    ),
    "gemma3_text": (
        transformers.Gemma3ForCausalLM,
        {
            **GEMMA,
            "sliding_window_pattern": 2,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 900.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            },
        },
    ),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, torch_reference, word_tokenizer):
    """A random model of transformers, and what we load from where it was saved, by variant."""
    made = {}

    def pair(name):
        if name not in made:
            kind, options = VARIANTS[name]
            model = torch_reference.randomise(kind(kind.config_class(**SIZES | options)))
            if "gemma" in name:
                centre_norms(model)
            directory = tmp_path_factory.mktemp("checkpoint")
            model.save_pretrained(directory)
            word_tokenizer.save_pretrained(directory)
            made[name] = fsl_jax.load(str(directory)), model
        return made[name]

    return pair


def centre_norms(model):
    """Scales that an offset of 1 is added to are around 0."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.sub_(1)


@pytest.fixture(scope="module")
def batch():
    """Rows of the longest length, padded on the right, and padded on the left."""
    ids = np.random.default_rng(0).integers(2, 40, (3, LENGTH), dtype=np.int32)
    places = np.arange(LENGTH)
    mask = np.stack([places < LENGTH, places < 17, places >= 13])
    return np.where(mask, ids, 0).astype(np.int32), mask


def relative(ours, theirs):
    return float(np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs)))


def gradients_of(model, ids, mask, direction):
    """Logits of transformers, and gradients of their product with a direction."""
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0)
    model.zero_grad()
    logits = model(
        input_ids=torch.tensor(ids, dtype=torch.long),
        attention_mask=torch.tensor(mask, dtype=torch.long),
        position_ids=torch.tensor(positions, dtype=torch.long),
    ).logits
    torch.sum(logits * torch.tensor(direction)).backward()
    weights = {name: weight.grad.numpy() for name, weight in model.named_parameters()}
    return logits.detach().numpy(), weights


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_gradients_agree_with_transformers(pairs, batch, name):
    (pretrained, model), (ids, mask) = pairs(name), batch
    direction = np.random.default_rng(1).standard_normal((*ids.shape, 40)).astype(np.float32)
    direction *= mask[:, :, None]

    @jax.jit
    def ours(params):
        def product(params):
            logits = pretrained.apply(params, ids, mask).logits
            return jnp.sum(logits * direction), logits

        return jax.grad(product, has_aux=True)(params)

    gradients, logits = ours(pretrained.params)
    expected, weights = gradients_of(model, ids, mask, direction)
    assert relative(logits[mask], expected[mask]) < 1e-5
    table = FAMILIES[pretrained.config.family].tensor_map(pretrained.config)
    found = dict(write_tensors(flatten_dict(gradients, sep="/"), table))
    assert found.keys() == weights.keys()
    assert max(relative(found[each], weights[each]) for each in found) < 1e-5


def torch_masks(model, mask, positions):
    """Return attention masks for transformers, with windows measured in positions as here."""
    window = getattr(model.config, "sliding_window", None) or 3 * LENGTH
    sees = np.tril(np.ones((LENGTH, LENGTH), bool))[None] & mask[:, None, :]
    near = positions[:, :, None] - positions[:, None, :] < window
    full, sliding = (
        torch.tensor(np.where(pairs, 0, np.finfo(np.float32).min)[:, None], dtype=torch.float32)
        for pairs in (sees, sees & near)
    )
    if model.config.model_type == "mistral":
        return sliding
    windows = {"full_attention": full, "sliding_attention": sliding}
    return windows if window < LENGTH else full


@pytest.mark.parametrize("name", VARIANTS)
def test_positions_that_are_given_agree_with_transformers(pairs, batch, name):
    """With gaps, backwards, and in no order."""
    (pretrained, model), (ids, mask) = pairs(name), batch
    columns = np.arange(LENGTH, dtype=np.int32)
    positions = np.stack([3 + 2 * columns, columns[::-1], 5 * columns % 17])
    with torch.no_grad():
        expected = model(
            torch.tensor(ids, dtype=torch.long),
            attention_mask=torch_masks(model, mask, positions),
            position_ids=torch.tensor(positions, dtype=torch.long),
        ).logits.numpy()
    apply = jax.jit(pretrained.apply)
    given = apply(pretrained.params, ids, mask, position_ids=positions).logits
    assert relative(given[mask], expected[mask]) < 1e-5


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3_text"])
def test_tokens_after_a_prefix_see_what_they_see_in_one_pass(pairs, batch, name):
    """The prefix is a cache with free slots, and its positions are counted or given."""
    pretrained, (ids, mask) = pairs(name)[0], batch
    ids, mask = ids[:2], mask[:2]
    positions = np.maximum(np.cumsum(mask, axis=1) - 1, 0).astype(np.int32)

    @jax.jit
    def both(params):
        read = pretrained.apply(params, ids[:, :CUT], mask[:, :CUT], unembed=False).key_values
        whole = pretrained.apply(params, ids, mask).logits[:, CUT:]
        given = pretrained.apply(params, ids[:, CUT:], mask[:, CUT:], prefix=read).logits
        slots = ((0, 0), (0, 0), (2, 3), (0, 0), (0, 0))
        cache = KeyValues(
            jnp.pad(read.keys, slots, constant_values=9.0),
            jnp.pad(read.values, slots, constant_values=9.0),
            jnp.pad(read.mask, slots[1:3]),
        )
        module = pretrained.module
        counted = module.apply(
            {"params": params},
            jnp.asarray(ids[:, CUT:]),
            jnp.asarray(mask[:, CUT:]),
            position_ids=jnp.asarray(positions[:, CUT:]),
            prefix=cache,
        ).logits
        return whole, given, counted

    whole, given, counted = both(pretrained.params)
    real = mask[:, CUT:]
    assert relative(given[real], whole[real]) < 1e-5
    assert relative(counted[real], whole[real]) < 1e-5


@pytest.mark.parametrize("name", ["mistral", "gemma3_text"])
def test_a_window_is_measured_in_positions(pairs, batch, name):
    """Tokens behind a gap of padding see as far back as without it."""
    pretrained, ids = pairs(name)[0], batch[0][0]
    mask = np.ones((2, LENGTH), bool)
    mask[0, 17:] = mask[1, 8:15] = False
    rows = np.zeros((2, LENGTH), np.int32)
    rows[mask] = np.tile(ids[:17], 2)
    logits = jax.jit(lambda params: pretrained.apply(params, rows, mask).logits)(pretrained.params)
    assert relative(logits[1][mask[1]], logits[0][mask[0]]) < 1e-5


def test_layers_keep_their_windows_when_the_stack_is_cut_in_two(pairs, batch):
    pretrained, (ids, mask) = pairs("gemma3_text")[0], batch

    @jax.jit
    def both(params):
        stack = params["layers"]
        below, top = (
            jax.tree.map(lambda leaf, part=part: leaf[part], stack)
            for part in (slice(1), slice(1, None))
        )
        cut = {**params, "layers": below, "top_layers": top}
        trunk = pretrained.trunk(cut, ids, mask)
        whole = pretrained.apply(params, ids, mask).logits
        return whole, pretrained.apply(cut, ids, mask, trunk=trunk).logits

    whole, cut = both(pretrained.params)
    assert relative(cut[mask], whole[mask]) < 1e-5


def test_scores_norms_and_logits_are_float32_in_a_bfloat16_model(pairs, batch):
    """Rounded weights and activations, and no more than that, set the two apart."""
    pretrained, (ids, mask) = pairs("gemma2")[0], batch
    module = pretrained.module.clone(dtype=jnp.dtype(jnp.bfloat16))

    @jax.jit
    def both(params):
        rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
        exact = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), rounded)
        output = module.apply({"params": rounded}, jnp.asarray(ids), jnp.asarray(mask))
        return output, pretrained.apply(exact, ids, mask)

    rounded, exact = both(pretrained.params)
    assert (rounded.hidden.dtype, rounded.logits.dtype) == (jnp.bfloat16, jnp.float32)
    assert relative(rounded.logits[mask], exact.logits[mask]) < 0.05


@pytest.mark.parametrize("name", VARIANTS)
def test_one_token_past_the_longest_length_is_an_error(pairs, name):
    pretrained = pairs(name)[0]
    ids = np.ones((1, LENGTH + 1), np.int32)
    with pytest.raises(InputError, match=f"{LENGTH + 1} tokens are more than"):
        pretrained.apply(pretrained.params, ids, ids.astype(bool))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_config_written_is_the_config_that_was_read(pairs, batch, name):
    """By us, and by transformers, whose model then gives the same logits."""
    pretrained, model = pairs(name)
    family = FAMILIES[pretrained.config.family]
    values = family.json(pretrained.config)
    assert family.config("config.json", values, []) == pretrained.config
    kind = getattr(transformers, values["architectures"][0])
    assert kind is type(model)
    assert values["model_type"] == model.config.model_type
    again = kind(kind.config_class(**values, attn_implementation="eager")).eval()
    again.load_state_dict(model.state_dict())
    ids = torch.tensor(batch[0][:1], dtype=torch.long)
    with torch.no_grad():
        np.testing.assert_array_equal(again(ids).logits, model(ids).logits)


def full_size(model_type, vocab, width, mlp, layers, heads, kv_heads, **more):
    return {
        "model_type": model_type,
        "vocab_size": vocab,
        "hidden_size": width,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        **more,
    }


LLAMA_31 = {**LLAMA3, "factor": 8.0, "original_max_position_embeddings": 8192}
# The numbers of parameters are those that the hub states from the headers of the authors' files, as
# in https://huggingface.co/api/models/meta-llama/Llama-3.1-70B?expand=safetensors ("70.6B" on the
# model's page) and https://huggingface.co/Qwen/Qwen3-32B ("32.8B"). transformers has as many in a
# model of these sizes.
FULL_SIZE = {
    "Llama-3.1-70B": (
        full_size("llama", 128_256, 8192, 28_672, 80, 64, 8, rope_scaling=LLAMA_31),
        70_553_706_496,
    ),
    "Mistral-7B-v0.1": (full_size("mistral", 32_000, 4096, 14_336, 32, 32, 8), 7_241_732_096),
    "Qwen2.5-7B": (full_size("qwen2", 152_064, 3584, 18_944, 28, 28, 4), 7_615_616_512),
    "Qwen3-32B": (full_size("qwen3", 151_936, 5120, 25_600, 64, 64, 8), 32_762_123_264),
    "gemma-2-9b": (full_size("gemma2", 256_000, 3584, 14_336, 42, 16, 8), 9_241_705_984),
    "gemma-3-1b": (full_size("gemma3_text", 262_144, 1152, 6912, 26, 4, 1), 999_885_952),
}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_models_have_their_parameters_and_are_spread_over_devices(name):
    values, parameters = FULL_SIZE[name]
    config = FAMILIES[values["model_type"]].config(name, values, [])
    shapes = jax.eval_shape(lambda: initialise(config, jax.random.key(0)))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters
    devices = 4
    mesh = jax.make_mesh(
        (1, 1, devices),
        ("runs", "batch", "model"),
        (AxisType.Auto,) * 3,
        devices=jax.devices()[:devices],
    )
    shards = jax.tree.map(
        lambda leaf, sharding: np.prod(sharding.shard_shape(leaf.shape)),
        shapes,
        parameter_shardings(shapes, mesh),
    )
    assert sum(jax.tree.leaves(shards)) < 1.001 * parameters / devices

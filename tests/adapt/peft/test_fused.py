"""Adapters on GPT-2's queries, keys and values, which PEFT has as one layer."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import safetensors.numpy
import torch
import transformers

from fsl_jax.adapt import IA3, AdaLoRA, LoRA, VeRA, attach, load_adapter, load_peft, save_peft
from fsl_jax.adapt.peft.fused import with_shared_matrices
from fsl_jax.adapt.tree import flatten
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.tensors.writing import write_tensors

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
    # AdaLoRA's pattern has names of parameters, where LoRA's has names of layers.
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
]

KEY = jax.random.key(0)
IDS = np.arange(12, dtype=np.int32).reshape(2, 6)


@pytest.fixture
def gpt2(tiny):
    return tiny("gpt2")


@pytest.fixture
def plain(gpt2, tmp_path):
    """The same model in transformers; the tokenizer of a tiny model is none."""
    config = gpt2.config
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_length,
            n_embd=config.hidden_size,
            n_inner=config.mlp_size,
            n_layer=config.num_layers,
            n_head=config.num_heads,
        )
    )
    names = FAMILIES["gpt2"].tensor_map(config)
    leaves = {path: np.asarray(leaf) for path, leaf in flatten(gpt2.params).items()}
    state = {name: torch.tensor(tensor) for name, tensor in write_tensors(leaves, names)}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    return model.eval()


def logits(base, params):
    return np.asarray(jax.jit(base.apply)(params, IDS, np.ones_like(IDS, bool)).logits)


def torch_logits(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS).long()).logits.numpy()


def assert_close(found, expected):
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("method", "rank", "alpha"),
    [
        (LoRA(rank=2, alpha=4.0, targets="(query|value|up)$"), 4, 8),
        (LoRA(rank=3, alpha=6.0, targets="key$", layers="1"), 3, 6),
        (LoRA(rank=1, alpha=4.0, targets="(query|key|value)$", scaling="rslora"), 3, 4 * 3**0.5),
        (LoRA(rank=2, alpha=4.0, targets="(query|value|up)$", dora=True), 4, 8),
        (LoRA(rank=2, alpha=4.0, targets="value$", layers="0,2", dora=True), 2, 4),
        (AdaLoRA(rank=3, target_rank=2, alpha=6.0, targets="(query|value|up)$"), 6, 12),
        (AdaLoRA(rank=2, target_rank=2, alpha=4.0, targets="key$"), 2, 4),
        (VeRA(rank=2), 4, None),
        (VeRA(rank=2, targets="(query|key|value|up|down)$"), 8, None),
        (VeRA(rank=3, targets="(key|output)$"), 6, None),
    ],
)
def test_peft_loads_updates_of_parts_as_one_of_more_rank(
    gpt2, plain, tmp_path, method, rank, alpha, move
):
    params = move(*attach(gpt2.params, method, KEY), scale=0.3)
    save_peft(tmp_path / "a", params, gpt2, method)
    config = json.loads((tmp_path / "a/adapter_config.json").read_text())
    assert config["peft_type"] == method.name.upper()
    assert config["init_r" if isinstance(method, AdaLoRA) else "r"] == rank
    assert alpha is None or config["lora_alpha"] == pytest.approx(alpha, rel=1e-5)
    expected = logits(gpt2, method.reparametrize(params))
    of_base = torch_logits(plain)
    assert_close(torch_logits(peft.PeftModel.from_pretrained(plain, str(tmp_path / "a"))), expected)
    adapter = load_adapter(tmp_path / "a", gpt2)
    assert adapter.method.rank == rank
    assert getattr(adapter.method, "layers", None) == getattr(method, "layers", None)
    assert_close(logits(gpt2, adapter.params), expected)
    assert np.abs(of_base - expected).max() > 1e-2 * np.abs(expected).max()


@pytest.mark.parametrize("outputs", ["query", "attention/(query|value)$", "(query|key|value)$"])
@pytest.mark.parametrize("is_trained", [True, False])
def test_peft_loads_vectors_of_parts_with_ones_for_the_others(
    gpt2, plain, tmp_path, outputs, is_trained, move
):
    method = IA3(outputs)
    start, mask = attach(gpt2.params, method, KEY)
    params = move(start, mask, scale=0.3) if is_trained else start
    expected = logits(gpt2, params)
    head = {"kernel": jnp.ones((16, 2)), "bias": jnp.zeros(2)}
    save_peft(tmp_path / "a", params | {"head": head}, gpt2, method)
    assert_close(torch_logits(peft.PeftModel.from_pretrained(plain, str(tmp_path / "a"))), expected)
    adapter = load_adapter(tmp_path / "a", gpt2)
    assert_close(logits(gpt2, adapter.params), expected)
    assert adapter.params["head"]["kernel"].shape == (16, 2)
    for part in ("query", "key", "value"):
        trees = (start, adapter.params)
        own, found = ("ia3" in tree["layers"]["attention"][part] for tree in trees)
        # What only has ones may be left out.
        assert found or not (own and is_trained)


TARGETS = {"target_modules": ["c_attn", "c_fc"], "fan_in_fan_out": True}


@pytest.mark.parametrize(
    "config",
    [
        peft.LoraConfig(r=2, **TARGETS),
        peft.LoraConfig(r=2, use_dora=True, layers_to_transform=[0, 2], **TARGETS),
        peft.AdaLoraConfig(init_r=2, target_r=1, total_step=10, **TARGETS),
        peft.VeraConfig(r=2, **TARGETS),
        peft.VeraConfig(r=2, target_modules=["c_attn"], layers_to_transform=[1]),
    ],
)
def test_an_adapter_of_pefts_comes_back_as_it_was(gpt2, plain, tmp_path, config, adapted_by_peft):
    model = adapted_by_peft(plain, config)
    model.save_pretrained(str(tmp_path / "theirs"))
    adapter = load_adapter(tmp_path / "theirs", gpt2)
    assert adapter.method.rank == 2
    assert_close(logits(gpt2, adapter.params), torch_logits(model))
    save_peft(tmp_path / "ours", adapter.params, gpt2, adapter.method)
    found, expected = (
        safetensors.numpy.load_file(tmp_path / name / "adapter_model.safetensors")
        for name in ("ours", "theirs")
    )
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, expected[name], name)


def test_values_of_zero_are_left_out_of_parts_too(gpt2, plain, tmp_path, move):
    method = AdaLoRA(rank=2, target_rank=1, targets="(query|value)$")
    params = move(*attach(gpt2.params, method, KEY), scale=0.3)
    values = params["layers"]["attention"]["value"]
    values["lora_e"] = values["lora_e"].at[1].set(0.0)
    save_peft(tmp_path / "a", params, gpt2, method)
    config = json.loads((tmp_path / "a/adapter_config.json").read_text())
    kept = config["rank_pattern"]["transformer.h.1.attn.c_attn.lora_E"]
    assert kept == [True, True, False, False]
    again = peft.PeftModel.from_pretrained(plain, str(tmp_path / "a"))
    assert_close(torch_logits(again), logits(gpt2, params))
    assert_close(logits(gpt2, load_peft(tmp_path / "a", gpt2)), logits(gpt2, params))


def test_an_adapter_that_has_not_been_trained_comes_back_too(gpt2, tmp_path):
    params, _ = attach(gpt2.params, LoRA(rank=2), KEY)
    save_peft(tmp_path / "a", params, gpt2, LoRA(rank=2))
    np.testing.assert_allclose(
        logits(gpt2, load_peft(tmp_path / "a", gpt2)), logits(gpt2, gpt2.params), rtol=1e-6
    )


def test_what_adapts_no_part_is_left_as_it_is(gpt2, llama):
    for base, method in ((gpt2, LoRA(targets="mlp/")), (llama, LoRA()), (gpt2, IA3())):
        leaves = {
            path: np.zeros(leaf.shape, np.float32)
            for path, leaf in flatten(jax.eval_shape(method.extend, base.params, KEY)).items()
            if path not in flatten(base.params)
        }
        same, kept = with_shared_matrices(method, leaves, base)
        assert same is method
        assert kept is leaves

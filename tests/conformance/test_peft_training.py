"""Adapters that PEFT made train here as they do in PEFT, and go back to it.

A case is an adapter of PEFT on a tiny model. It is saved by PEFT and loaded here; both compute the
same with it, take the same 20 steps of AdamW, and what was trained here is loaded by PEFT again.
"""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import peft
import pytest
import torch
import transformers

from benchmarks.prompt_networks import network_name
from fsl_jax.adapt import (
    Adapter,
    LoRA,
    attach,
    combine,
    load_adapter,
    partition,
    save_adapter,
    save_peft,
)
from fsl_jax.adapt.mask import mask_from_rules
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.models import export

pytestmark = [
    # This release of PEFT asks transformers for an attribute that has a new name there.
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning"),
    pytest.mark.filterwarnings("ignore:Unsupported layer type:UserWarning"),
    # AdaLoRA's pattern has names of parameters, where LoRA's has names of layers.
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
]

STEPS, RATE, DECAY = 20, 1e-2, 0.1
IDS = np.random.default_rng(0).integers(2, 60, (6, 9)).astype(np.int32)
MASK = np.arange(9)[None, :] < np.array([9, 9, 7, 9, 4, 8])[:, None]
LABELS = np.array([0, 1, 2, 0, 1, 2])
HEAD = np.random.default_rng(1).normal(size=(16, 3)).astype(np.float32)

QUICK = [
    ("bert", peft.IA3Config()),
    ("llama", peft.IA3Config()),
    ("gpt2", peft.IA3Config()),
    ("bert", peft.LNTuningConfig(target_modules=["LayerNorm"])),
    ("llama", peft.LNTuningConfig()),
    ("bert", peft.LoraConfig(r=2, target_modules=["query", "dense"], layers_to_transform=[1])),
    ("llama", peft.LoraConfig(r=3, target_modules=["q_proj", "down_proj"], use_dora=True)),
    ("llama", peft.VeraConfig(r=5, target_modules=["q_proj", "v_proj", "down_proj"])),
    ("t5", peft.LoraConfig(r=2, target_modules=["v", "wo"], use_dora=True)),
    (
        "bert",
        peft.LoraConfig(
            r=2,
            target_modules=r".*(query|1\.intermediate\.dense)",
            rank_pattern={r"1\.attention\.self\.query": 4},
            alpha_pattern={r".*\.dense": 3},
        ),
    ),
]
SOAK = [
    ("gemma2", peft.IA3Config()),
    ("bert", peft.IA3Config(target_modules=["query", "dense"], feedforward_modules=[])),
    ("llama", peft.IA3Config(target_modules=["q_proj"], feedforward_modules=["q_proj"])),
    ("gpt2", peft.LNTuningConfig()),
    ("gemma2", peft.LNTuningConfig()),
    ("llama", peft.LNTuningConfig(target_modules=["input_layernorm"])),
    ("bert", peft.LoraConfig(r=2, target_modules=["query"], use_dora=True, use_rslora=True)),
    ("gemma2", peft.LoraConfig(r=4, target_modules="all-linear", use_rslora=True)),
    ("gpt2", peft.LoraConfig(r=4, target_modules=["c_fc"], use_dora=True)),
    ("bert", peft.VeraConfig(r=5, target_modules=["query", "value"])),
    ("gpt2", peft.VeraConfig(r=4, target_modules=["c_fc"])),
    (
        "llama",
        peft.LoraConfig(
            r=2,
            target_modules=["q_proj", "up_proj"],
            exclude_modules=["0.self_attn.q_proj"],
            rank_pattern={"up_proj": 3},
            use_dora=True,
        ),
    ),
    ("llama", peft.VeraConfig(r=5, target_modules=["q_proj", "o_proj"], layers_to_transform=[1])),
    ("t5", peft.LoraConfig(r=2, target_modules=["q", "wi_0"], use_rslora=True)),
    ("t5", peft.VeraConfig(r=5, target_modules=["q", "v", "wo"])),
    ("t5", peft.IA3Config()),
    ("t5", peft.LNTuningConfig(target_modules=["layer_norm"])),
]

# The layers of these are in several parts here.
PARTS = [
    ("gpt2", peft.LoraConfig(r=2, target_modules=["c_attn", "c_fc"], use_dora=True)),
    ("gpt2", peft.LoraConfig(r=3, target_modules=["c_attn"], rank_pattern={r"h\.0\..*": 1})),
    ("gpt2", peft.AdaLoraConfig(init_r=3, target_r=2, total_step=9, target_modules=["c_attn"])),
    ("gpt2", peft.VeraConfig(r=3, target_modules=["c_attn"])),
]
PARTS_OF = {"c_attn": ["attention/query", "attention/key", "attention/value"], "c_fc": ["mlp/up"]}


def prompts():
    """Adapters that PEFT puts before the tokens; it needs to be told what the model is for."""
    encoder, decoder = {"task_type": "FEATURE_EXTRACTION"}, {"task_type": "CAUSAL_LM"}
    computed = {"prefix_projection": True, "encoder_hidden_size": 7}
    lstm = {"encoder_reparameterization_type": "LSTM", "encoder_hidden_size": 5}
    return [
        ("bert", peft.PromptTuningConfig(num_virtual_tokens=4, **encoder)),
        ("llama", peft.PrefixTuningConfig(num_virtual_tokens=4, **computed, **decoder)),
        ("gpt2", peft.PromptEncoderConfig(num_virtual_tokens=3, **lstm, **decoder)),
    ], [
        ("llama", peft.PromptTuningConfig(num_virtual_tokens=4, **decoder)),
        ("gpt2", peft.PromptTuningConfig(num_virtual_tokens=1, **decoder)),
        ("bert", peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=7, **encoder)),
        ("llama", peft.PromptEncoderConfig(num_virtual_tokens=4, encoder_hidden_size=7, **decoder)),
        ("bert", peft.PromptEncoderConfig(num_virtual_tokens=4, **lstm, **encoder)),
        ("bert", peft.PrefixTuningConfig(num_virtual_tokens=4, **encoder)),
        ("bert", peft.PrefixTuningConfig(num_virtual_tokens=4, **computed, **encoder)),
        ("gpt2", peft.PrefixTuningConfig(num_virtual_tokens=4, **decoder)),
        ("gemma2", peft.PrefixTuningConfig(num_virtual_tokens=4, **decoder)),
        ("t5", peft.PromptTuningConfig(num_virtual_tokens=4, task_type="SEQ_2_SEQ_LM")),
    ]


def cases():
    """The quick cases, and those of the soak."""
    quick, soak = (before + own for before, own in zip((QUICK, SOAK), prompts(), strict=True))
    marked = [*((case, ()) for case in quick), *((case, pytest.mark.soak) for case in soak)]
    return [
        pytest.param(case, marks=marks, id=f"{case[0]}-{case[1].peft_type.value}-{number}")
        for number, (case, marks) in enumerate(marked)
    ]


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """One adapter on one model, here and in PEFT."""

    base: Any
    adapter: Any
    twin: torch.nn.Module
    plain: Any


@pytest.fixture(scope="module")
def make_pair(adapted_by_peft):
    """Makes an adapter that PEFT saves, and ours that was loaded from it."""

    def make(base, config, place):
        export(base, place / "base")
        kind = transformers.AutoModel
        if base.config.is_decoder:
            kind = transformers.AutoModelForCausalLM
        elif base.config.is_encoder_decoder:
            kind = transformers.AutoModelForSeq2SeqLM

        def plain():
            return kind.from_pretrained(place / "base").eval()

        twin = adapted_by_peft(plain(), config, scale=0.2)
        twin.save_pretrained(place / "adapter")
        return Pair(base, load_adapter(place / "adapter", base), twin, plain)

    return make


@pytest.fixture(scope="module", params=cases())
def pair(request, make_pair, tiny_bases, tmp_path_factory):
    family, config = request.param
    return make_pair(tiny_bases[family], config, tmp_path_factory.mktemp("pair"))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(case, marks=pytest.mark.soak if number else (), id=f"parts-{number}")
        for number, case in enumerate(PARTS)
    ],
)
def pair_of_parts(request, make_pair, tiny_bases, tmp_path_factory):
    family, config = request.param
    return make_pair(tiny_bases[family], config, tmp_path_factory.mktemp("parts"))


def torch_logits(model):
    """Class logits of the mean over tokens, through a head that is not trained.

    The decoder of an encoder-decoder reads the tokens too, and its states are taken.
    """
    read = {"input_ids": torch.tensor(IDS).long(), "attention_mask": torch.tensor(MASK).long()}
    states = "hidden_states"
    if model.config.is_encoder_decoder:
        read |= {f"decoder_{name}": tensor for name, tensor in read.items()}
        states = "decoder_hidden_states"
    output = model(**read, output_hidden_states=True)
    weights = torch.tensor(MASK)[:, :, None].float()
    # PEFT gives a soft prompt's outputs too, before those of the tokens.
    hidden = output[states][-1][:, -IDS.shape[1] :]
    return ((hidden * weights).sum(1) / weights.sum(1)) @ torch.tensor(HEAD)


@functools.partial(jax.jit, static_argnums=0)
def our_logits(base, params):
    """The same of our model; compiled once for the adapter as it came and as it was trained."""
    more = {}
    if base.config.is_encoder_decoder:
        more = {"decoder_input_ids": IDS, "decoder_attention_mask": MASK}
    hidden = base.apply(params, IDS, MASK, **more, unembed=False).hidden
    weights = jnp.asarray(MASK)[:, :, None].astype(jnp.float32)
    return ((hidden * weights).sum(1) / weights.sum(1)) @ HEAD


def with_network(pair):
    """The parameters as they are trained, with the network that computes a prompt or a prefix.

    PEFT saves what the network computes, and not the network.
    """
    method, params = pair.adapter.method, pair.adapter.params
    if not hasattr(method, "hidden"):
        return params
    extended = flatten(method.extend(pair.base.params, jax.random.key(0)))
    state = dict(pair.twin.prompt_encoder["default"].named_parameters())
    expected = {path for path in extended if re.match("(prompt|prefix)_encoder/", path)}
    names = {network_name(path, method.name) for path in expected}
    assert names == state.keys()
    for path in expected:
        # Kernels are transposed there, and have two axes.
        tensor = state[network_name(path, method.name)].detach().numpy()
        tensor = tensor.T if path.endswith("kernel") else tensor
        extended[path] = jnp.asarray(tensor.reshape(extended[path].shape).copy())
    return unflatten(extended)


def train_in_torch(model):
    """The losses of some steps, and the logits after them."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(torch_logits(model), torch.tensor(LABELS))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train(pair, trainable, frozen):
    """Likewise here: the losses, and the trained leaves."""
    method, optimizer = pair.adapter.method, optax.adamw(RATE, weight_decay=DECAY)

    def loss_of(trainable):
        params = combine(trainable, frozen)
        logits = our_logits(pair.base, method.reparametrize(params))
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()
        penalty = method.penalty(params)
        return loss if penalty is None else loss + penalty

    def step(state, _):
        trainable, moments = state
        loss, gradients = jax.value_and_grad(loss_of)(trainable)
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(gradients, moments, trainable)
        return (optax.apply_updates(trainable, updates), moments), loss

    start = (trainable, optimizer.init(trainable))
    (last, _), losses = jax.jit(lambda start: jax.lax.scan(step, start, length=STEPS))(start)
    return last, losses


def test_both_compute_the_same(pair):
    compare(pair)


def compare(pair):
    with torch.no_grad():
        expected, of_base = torch_logits(pair.twin).numpy(), torch_logits(pair.plain()).numpy()
    found = np.asarray(our_logits(pair.base, pair.adapter.params))
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(of_base - expected).max() > 1e-2 * np.abs(expected).max()


def test_both_take_the_same_steps_and_peft_loads_what_was_trained(pair, tmp_path):
    method, params = pair.adapter.method, with_network(pair)
    trainable, frozen = partition(params, mask_from_rules(params, method.rules))
    last, losses = train(pair, trainable, frozen)
    np.testing.assert_allclose(losses, train_in_torch(pair.twin), rtol=1e-3)
    assert losses[-1] < 0.97 * losses[0]
    settings = {
        path: leaf
        for path, leaf in flatten(params).items()
        if any(re.search(rule, path) for rule in method.frozen_rules)
    }
    present = settings | {path: leaf for path, leaf in flatten(last).items() if leaf is not None}
    leaves = method.finish(unflatten(present))
    save_adapter(tmp_path / "trained", leaves, method, pair.base, {})
    again = peft.PeftModel.from_pretrained(pair.plain(), str(tmp_path / "trained")).eval()
    found = np.asarray(our_logits(pair.base, load_adapter(tmp_path / "trained", pair.base).params))
    with torch.no_grad():
        expected, trained = torch_logits(again).numpy(), torch_logits(pair.twin).numpy()
    scale = np.abs(expected).max()
    assert np.abs(found - expected).max() < 1e-5 * scale
    assert np.abs(trained - expected).max() < 1e-2 * scale


def test_parts_of_a_layer_compute_the_same_and_their_gradients_add_up(pair_of_parts):
    """Each part has its own copy here of the tensors that the parts share in PEFT."""
    compare(pair_of_parts)
    method, params = pair_of_parts.adapter.method, pair_of_parts.adapter.params
    trainable, frozen = partition(params, mask_from_rules(params, method.rules))

    def loss_of(trainable):
        whole = method.reparametrize(combine(trainable, frozen))
        logits = our_logits(pair_of_parts.base, whole)
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    found = flatten(jax.jit(jax.grad(loss_of))(trainable))
    twin = pair_of_parts.twin
    twin.zero_grad()
    torch.nn.functional.cross_entropy(torch_logits(twin), torch.tensor(LABELS)).backward()
    compared = 0
    for name, parameter in twin.named_parameters():
        if not parameter.requires_grad:
            continue
        place = re.search(r"h\.(\d)\.\w+\.(c_\w+)\.(\w+?)(_vector)?\.default", name)
        leaf = place[3].lower().replace("vera_lambda", "vera")
        own = [found[f"layers/{part}/{leaf}"][int(place[1])] for part in PARTS_OF[place[2]]]
        shared = leaf in ("lora_a", "lora_e", "vera_d")
        ours = sum(own) if shared else np.concatenate(own, axis=-1)
        expected = parameter.grad.numpy().T
        ours = np.asarray(ours)[tuple(slice(size) for size in expected.shape[-ours.ndim :])]
        np.testing.assert_allclose(
            ours, expected.reshape(ours.shape), rtol=1e-4, atol=1e-5 * np.abs(expected).max()
        )
        compared += 1
    assert compared >= 2 * pair_of_parts.base.config.num_layers


def test_parts_that_were_trained_apart_go_back_to_peft(pair_of_parts, tmp_path):
    method, params = pair_of_parts.adapter.method, pair_of_parts.adapter.params
    trainable, frozen = partition(params, mask_from_rules(params, method.rules))
    last, losses = train(pair_of_parts, trainable, frozen)
    assert losses[-1] < 0.97 * losses[0]
    trained = combine(last, frozen)
    save_peft(tmp_path / "trained", trained, pair_of_parts.base, method)
    assert load_adapter(tmp_path / "trained", pair_of_parts.base).method.rank == 3 * method.rank
    again = peft.PeftModel.from_pretrained(pair_of_parts.plain(), str(tmp_path / "trained")).eval()
    found = np.asarray(our_logits(pair_of_parts.base, method.reparametrize(trained)))
    with torch.no_grad():
        expected = torch_logits(again).numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_pissa_starts_and_trains_as_in_peft_and_leaves_the_base_as_it_is(tiny_bases, tmp_path):
    base = tiny_bases["llama"]
    export(base, tmp_path / "base")

    def plain():
        return transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base").eval()

    config = peft.LoraConfig(r=3, target_modules=["q_proj", "down_proj"], init_lora_weights="pissa")
    twin = peft.get_peft_model(plain(), config).eval()
    method = LoRA(rank=3, alpha=8.0, targets="(query|down)$", start="pissa")
    params, mask = attach(base.params, method, jax.random.key(0))
    last, losses = train(
        Pair(base, Adapter(params, mask, method, None), twin, plain), *partition(params, mask)
    )
    # The signs of singular vectors are anyone's choice, and AdamW's steps do not depend on them.
    np.testing.assert_allclose(losses, train_in_torch(twin), rtol=1e-3)
    assert losses[-1] < 0.97 * losses[0]
    save_peft(tmp_path / "trained", combine(last, partition(params, mask)[1]), base, method)
    again = peft.PeftModel.from_pretrained(plain(), str(tmp_path / "trained")).eval()
    found = np.asarray(our_logits(base, load_adapter(tmp_path / "trained", base).params))
    with torch.no_grad():
        expected, trained = torch_logits(again).numpy(), torch_logits(twin).numpy()
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(trained - expected).max() < 1e-2 * np.abs(expected).max()

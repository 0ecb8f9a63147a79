"""AdaLoRA: its leaves, its penalty, and the budget: PEFT's allocator is the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers

from fsl_jax.adapt import AdaLoRA, Joined, attach
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

KEY = jax.random.key(0)
SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8}
PLACES = {
    "query": "encoder.layer.{}.attention.self.query",
    "value": "encoder.layer.{}.attention.self.value",
}


def test_leaves_have_the_shapes_of_their_kernels_and_the_model_starts_out_as_the_base(
    llama, hidden
):
    method = AdaLoRA(rank=4, target_rank=2, alpha=6.0, targets="(value|down)$")
    params, mask = attach(llama.params, method, KEY, lambda p: hidden(llama, p))
    added = {path: leaf for path, leaf in flatten(params).items() if "lora" in path}
    assert {path: leaf.shape for path, leaf in added.items()} == {
        "layers/attention/value/lora_a": (3, 16, 4),
        "layers/attention/value/lora_e": (3, 4),
        "layers/attention/value/lora_b": (3, 4, 8),
        "layers/attention/value/lora_scale": (3,),
        "layers/mlp/down/lora_a": (3, 32, 4),
        "layers/mlp/down/lora_e": (3, 4),
        "layers/mlp/down/lora_b": (3, 4, 16),
        "layers/mlp/down/lora_scale": (3,),
    }
    np.testing.assert_allclose(added["layers/mlp/down/lora_scale"], 1.5, rtol=1e-5)
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    assert trained == {path for path in added if not path.endswith("scale")}
    np.testing.assert_array_equal(hidden(llama, params), hidden(llama, llama.params))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 4, "target_rank": 5}, "target_rank from 1 to the rank at the start, found 5 and"),
        ({"target_rank": 0}, "target_rank = 0: expected a whole number, from 1 to"),
        ({"alpha": 0.0}, "alpha = 0.0: expected a finite number, above 0"),
        ({"warmup": 0.5, "final": 0.5}, r"warmup and final .*, found 0.5 and 0.5"),
        ({"warmup": -0.1}, "warmup = -0.1: expected a number, 0 or more and below 1"),
        ({"interval": 0}, "interval = 0: expected a whole number, from 1 to"),
        ({"smoothing": 1.0}, " smoothing = 1.0: expected a finite number, above 0 and below 1"),
        ({"uncertainty_smoothing": 0.0}, "uncertainty_smoothing = 0.0: expected"),
        ({"penalty_weight": -1.0}, "penalty_weight = -1.0: expected a finite number, 0 or more"),
        ({"targets": "(query"}, r"targets '\(query' are no regular expression"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        AdaLoRA(**settings)


@pytest.fixture(scope="module")
def twin():
    """A model of PEFT's with adapters that are random."""
    config = transformers.BertConfig(
        **SIZES, intermediate_size=16, vocab_size=20, max_position_embeddings=8
    )
    settings = peft.AdaLoraConfig(
        init_r=4,
        target_r=2,
        tinit=2,
        tfinal=4,
        deltaT=2,
        total_step=16,
        orth_reg_weight=0.3,
        target_modules=["query", "value"],
    )
    model = peft.get_peft_model(transformers.BertModel(config, add_pooling_layer=False), settings)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


METHOD = AdaLoRA(rank=4, target_rank=2, warmup=2 / 16, final=4 / 16, interval=2, penalty_weight=0.3)


def leaves_of(model, read=lambda parameter: parameter.detach().numpy()):
    """The tree's leaves of PEFT's parameters, or of what is read of them."""
    parameters = dict(model.named_parameters())

    def stack(name, part):
        place = f"base_model.model.{PLACES[name]}.lora_{part}.default"
        return np.stack([read(parameters[place.format(layer)]) for layer in range(2)])

    return {
        f"layers/attention/{name}/{leaf}": of(stack(name, part))
        for name in PLACES
        for leaf, part, of in (
            ("lora_a", "A", lambda each: each.swapaxes(1, 2)),
            ("lora_e", "E", lambda each: each[:, :, 0]),
            ("lora_b", "B", lambda each: each.swapaxes(1, 2)),
        )
    }


def padded(leaves, more):
    """The same with more rank, filled up with zeros."""
    axes = {"lora_a": -1, "lora_e": -1, "lora_b": -2}
    found = {}
    for path, leaf in leaves.items():
        widths = [(0, 0)] * leaf.ndim
        widths[axes[path.rpartition("/")[2]]] = (0, more)
        found[path] = jnp.asarray(np.pad(leaf, widths))
    return found


@pytest.mark.parametrize("more", [0, 3])
def test_the_penalty_is_pefts_whatever_fills_up_the_rank(twin, more):
    expected = []
    for name, parameter in twin.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            flat = parameter if "lora_A" in name else parameter.T
            expected.append(torch.linalg.norm(flat @ flat.T - torch.eye(4)).item())
    found = METHOD.penalty(unflatten(padded(leaves_of(twin), more)))
    np.testing.assert_allclose(found, 0.3 * np.mean(expected), rtol=1e-5)


def test_a_layer_that_is_not_adapted_has_no_part_in_the_penalty(twin):
    leaves = leaves_of(twin)
    more = {path: jnp.concatenate([leaf, 0 * leaf[:1]]) for path, leaf in leaves.items()}
    expected = jax.grad(METHOD.penalty)(unflatten(leaves))
    found = flatten(jax.grad(METHOD.penalty)(unflatten(more)))
    for path, leaf in flatten(expected).items():
        np.testing.assert_allclose(found[path][:-1], leaf, rtol=1e-5, atol=1e-7)
        assert not found[path][-1].any()


def test_each_of_two_counts_its_own_layers(llama, move):
    parts = [AdaLoRA(3, 1, targets=f"{name}$") for name in ("query", "down")]
    both = Joined(tuple(parts))
    params, mask = attach(llama.params, both, KEY)
    params = move(params, mask)
    of_query, of_down = (list(known) for known in both.initial_state(params))
    assert (of_query, of_down) == (["layers/attention/query"], ["layers/mlp/down"])
    leaves = flatten(params)
    alone = [
        part.penalty(
            unflatten({path: leaf for path, leaf in leaves.items() if not path.startswith(other)})
        )
        for part, other in zip(parts, ("layers/mlp/down", "layers/attention/query"), strict=True)
    ]
    np.testing.assert_allclose(both.penalty(params), sum(alone), rtol=1e-6)


@pytest.mark.parametrize("more", [0, 3])
def test_the_budget_is_spent_as_peft_spends_it(twin, more):
    """Both are given the same gradients, and values that have moved since the last step."""
    initial = {name: each.detach().clone() for name, each in twin.named_parameters()}
    leaves = unflatten(padded(leaves_of(twin), more))
    method_state = METHOD.initial_state(leaves)
    take = jax.jit(
        lambda leaves, gradients, method_state, step: METHOD.after_step(
            leaves, {}, gradients, method_state, step, 16
        )
    )
    ranks = []
    generator = torch.Generator().manual_seed(1)
    for step in range(16):
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                if "lora_" in name:
                    parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
                    parameter.grad = torch.randn(parameter.shape, generator=generator)
        gradients = padded(leaves_of(twin, lambda parameter: parameter.grad.numpy()), more)
        before = unflatten(padded(leaves_of(twin), more))
        twin.base_model.update_and_allocate(step)
        found, method_state = take(before, unflatten(gradients), method_state, jnp.int32(step))
        for path, leaf in padded(leaves_of(twin), more).items():
            np.testing.assert_allclose(
                flatten(found)[path], leaf, rtol=1e-6, err_msg=f"{step} {path}"
            )
        ranks.append(
            sum((leaf != 0).sum() for path, leaf in flatten(found).items() if "_e" in path)
        )
    assert ranks[:4] == [16] * 4
    assert ranks[-4:] == [8] * 4
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(initial[name])

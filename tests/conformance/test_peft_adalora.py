"""AdaLoRA trains here as it does in PEFT: its penalty, and the steps that spend its budget."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import peft
import pytest
import torch
import transformers

from fsl_jax.adapt import AdaLoRA, combine, load_adapter, partition, save_adapter
from fsl_jax.adapt.mask import mask_from_rules
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.models import export

pytestmark = [
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning"),
    # AdaLoRA's pattern has names of parameters, where LoRA's has names of layers.
    pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning"),
    # One layer is left without any rank, which PEFT takes for a fault.
    pytest.mark.filterwarnings("ignore:Adapter 'default'. 2 LoRA tensor"),
]

STEPS, RATE, DECAY = 20, 1e-2, 0.1
IDS = np.random.default_rng(0).integers(2, 60, (4, 9)).astype(np.int32)
CONFIG = {
    # Without it PEFT leaves the penalty out.
    "task_type": "CAUSAL_LM",
    "init_r": 4,
    "target_r": 2,
    "tinit": 2,
    "tfinal": 6,
    "deltaT": 2,
    "total_step": STEPS,
    "lora_alpha": 16,
    "orth_reg_weight": 0.3,
    "target_modules": ["q_proj", "v_proj", "down_proj"],
}


SOME = r".*\.0\.self_attn\.(q|v)_proj|.*\.1\.mlp\.down_proj"


@pytest.fixture(
    scope="module",
    params=[(CONFIG["target_modules"], 6), pytest.param((SOME, 3), marks=pytest.mark.soak)],
    ids=["all-layers", "some-layers"],
)
def targets(request):
    """Return the adapted layers, all or some, and their number of matrices."""
    return request.param


@pytest.fixture(scope="module")
def place(tiny_bases, tmp_path_factory, targets):
    directory = tmp_path_factory.mktemp("adalora")
    export(tiny_bases["llama"], directory / "base")
    return directory


@pytest.fixture(scope="module")
def plain(place):
    def make():
        return transformers.AutoModelForCausalLM.from_pretrained(place / "base").eval()

    return make


@pytest.fixture(scope="module")
def twin(adapted_by_peft, plain, place, targets):
    """PEFT's model with an adapter that does something; it is saved before it is trained."""
    config = peft.AdaLoraConfig(**CONFIG | {"target_modules": targets[0]})
    twin = adapted_by_peft(plain(), config, scale=0.2)
    twin.save_pretrained(place / "start")
    return twin


@pytest.fixture(scope="module")
def losses_of_peft(twin, place):
    """PEFT adds the penalty to the loss of the model's own head."""
    trained = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        ids = torch.tensor(IDS).long()
        loss = twin(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        twin.base_model.update_and_allocate(step)
        losses.append(loss.item())
    twin.save_pretrained(place / "trained")
    return losses


def logits(base, params):
    return base.apply(params, IDS, np.ones_like(IDS, bool)).logits


def torch_logits(model):
    with torch.no_grad():
        return model(input_ids=torch.tensor(IDS).long()).logits.numpy()


def train(base, adapter):
    """The trained leaves, and the losses of the steps."""
    method, optimizer = adapter.method, optax.adamw(RATE, weight_decay=DECAY)
    mask = mask_from_rules(adapter.params, method.rules)
    trainable, frozen = partition(adapter.params, mask)

    def loss_of(trainable):
        params = combine(trainable, frozen)
        of_tokens = optax.softmax_cross_entropy_with_integer_labels(
            logits(base, params)[:, :-1], jnp.asarray(IDS[:, 1:])
        )
        return of_tokens.mean() + method.penalty(params)

    def step(state, number):
        trainable, moments, memory = state
        loss, gradients = jax.value_and_grad(loss_of)(trainable)
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = optimizer.update(gradients, moments, trainable)
        trainable = optax.apply_updates(trainable, updates)
        trainable, memory = method.after_step(trainable, {}, gradients, memory, number, STEPS)
        return (trainable, moments, memory), loss

    start = (trainable, optimizer.init(trainable), method.initial_state(trainable))
    run = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(STEPS)))
    (last, _, _), losses = run(start)
    return {path: leaf for path, leaf in flatten(last).items() if leaf is not None}, losses


def assert_close(found, expected):
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_both_take_the_same_steps_within_the_same_budget(
    tiny_bases, twin, losses_of_peft, plain, place, tmp_path, targets
):
    base = tiny_bases["llama"]
    adapter = load_adapter(place / "start", base)
    assert adapter.method == AdaLoRA(
        rank=4,
        target_rank=2,
        targets="^(layers/attention/query|layers/attention/value|layers/mlp/down)$",
        warmup=0.1,
        final=0.3,
        interval=2,
        penalty_weight=0.3,
    )
    leaves, losses = train(base, adapter)
    np.testing.assert_allclose(losses, losses_of_peft, rtol=1e-3)
    assert losses[-1] < 0.9 * losses[0]
    left = sum((leaf != 0).sum() for path, leaf in leaves.items() if path.endswith("lora_e"))
    assert left == 2 * targets[1]

    save_adapter(tmp_path / "ours", unflatten(leaves), adapter.method, base, {})
    again = peft.PeftModel.from_pretrained(plain(), str(tmp_path / "ours")).eval()
    expected = torch_logits(again)
    assert_close(logits(base, load_adapter(tmp_path / "ours", base).params), expected)
    trained = torch_logits(twin)
    assert np.abs(trained - expected).max() < 1e-2 * np.abs(expected).max()

    theirs = load_adapter(place / "trained", base)
    assert_close(logits(base, theirs.params), trained)
    found = flatten(theirs.params)
    for path, leaf in leaves.items():
        if path.endswith("lora_e"):
            np.testing.assert_array_equal(found[path] != 0, leaf != 0, path)
    assert json.loads((place / "trained/adapter_config.json").read_text())["rank_pattern"]


def test_both_compute_the_same_before(tiny_bases, plain, twin, place):
    base = tiny_bases["llama"]
    start = peft.PeftModel.from_pretrained(plain(), str(place / "start")).eval()
    expected = torch_logits(start)
    assert_close(logits(base, load_adapter(place / "start", base).params), expected)
    assert np.abs(torch_logits(plain()) - expected).max() > 1e-2 * np.abs(expected).max()

"""Methods joined: what they add and train together, and what cannot be joined."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import (
    IA3,
    BitFit,
    BottleneckAdapter,
    Full,
    Joined,
    LinearProbe,
    LoRA,
    Method,
    TopLayers,
    attach,
    load_adapter,
    parse_method,
    save_adapter,
)
from fsl_jax.adapt.methods.registry import format_method, split_joined
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)
LORA, ADAPTER = LoRA(2), BottleneckAdapter("parallel", 3)


@dataclasses.dataclass(frozen=True)
class Counting(Method):
    """Does a little of everything that a method may do."""

    amount: float = 1.0
    name: ClassVar[str] = "counting"
    rules: ClassVar[tuple[str, ...]] = ("^extra$",)
    learning_rates: ClassVar[tuple[float, ...]] = (1.0,)

    @property
    def learning_rate_factors(self):
        return {"^extra$": self.amount, "b$": 2.0}

    def extend(self, params, key):
        return params | {"extra": jnp.zeros(())}

    def reparametrize(self, params):
        return params | {"seen": params.get("seen", 0) * 10 + self.amount}

    def penalty(self, params):
        return jnp.float32(self.amount)

    def initial_state(self, trainable):
        return jnp.float32(0)

    def after_step(self, trainable, frozen_leaves, gradients, method_state, step, steps):
        return trainable | {
            "extra": trainable["extra"] * 2 + self.amount
        }, method_state + self.amount

    def finish(self, leaves):
        return leaves | {"finished": leaves.get("finished", 0) * 10 + self.amount}


def trained(params, mask):
    leaves = flatten(params)
    return {path: leaves[path] for path, chosen in flatten(mask).items() if chosen}


def test_the_leaves_and_the_draws_are_those_of_each_part(llama, hidden):
    method = Joined((LORA, ADAPTER))
    params, mask = attach(llama.params, method, KEY, lambda params: hidden(llama, params))
    expected = {}
    for part in method.parts:
        expected |= trained(*attach(llama.params, part, KEY))
    found = trained(params, mask)
    assert found.keys() == expected.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, expected[path], path)


@pytest.mark.parametrize("parts", [(TopLayers(1), LORA), (LORA, TopLayers(1))])
def test_settings_stay_frozen_under_a_rule_that_takes_whole_layers(llama, parts):
    params, mask = attach(llama.params, Joined(parts), KEY)
    found = trained(params, mask)
    assert "top_layers/mlp/up/kernel" in found
    assert "layers/attention/query/lora_a" in found
    assert "layers/mlp/up/kernel" not in found
    assert not any(path.endswith("lora_scale") for path in found)


def test_what_parts_do_is_done_one_after_the_other():
    method = Joined((Counting(1.0), Counting(3.0)))
    assert method.name == "counting+counting"
    assert method.learning_rates == (1.0,)
    assert method.learning_rate_factors == {"^extra$": 1.0, "b$": 2.0}
    assert method.reparametrize({})["seen"] == 13
    assert method.penalty({}) == 4
    trainable, method_state = {"extra": jnp.float32(0)}, method.initial_state({})
    trainable, method_state = method.after_step(trainable, {}, {}, method_state, jnp.int32(0), 2)
    assert trainable["extra"] == 5
    assert method_state == (1, 3)
    assert method.finish({})["finished"] == 13


def test_without_penalties_there_is_none():
    assert Joined((LORA, ADAPTER)).penalty({}) is None
    assert Joined((LORA, Counting(2.0))).penalty({}) == 2


def test_runs_are_stacked_where_all_parts_agree():
    def structure(text):
        return parse_method(text).structure

    assert structure("lora(2)+bitfit") == structure("lora(rank=4, alpha=1)+bitfit")
    assert structure("lora+bitfit") != structure("lora(targets='down')+bitfit")
    assert structure("lora+bitfit") != structure("lora+ln_tuning")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lora(2) + adapter('parallel', size=3)", (LORA, ADAPTER)),
        ("lora(targets='a+b')+bitfit", (LoRA(targets="a+b"), BitFit())),
        ("adapter(parallel, 3)+bitfit", (ADAPTER, BitFit())),
        ("bitfit+ia3+lora(2)", (BitFit(), IA3(), LORA)),
    ],
)
def test_it_is_written_with_plus_signs(text, parts):
    method = parse_method(text)
    assert method == Joined(parts)
    assert parse_method(format_method(method)) == method


def test_the_name_has_no_settings():
    assert parse_method(" lora(targets='a+b') + bitfit ").name == "lora+bitfit"
    assert parse_method("lora(rank=3)").name == "lora"


def test_a_text_that_cannot_be_read_is_not_split():
    assert split_joined("lora(rank=") == ["lora(rank="]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("full+lora", "full: it trains every parameter"),
        ("bitfit+linear_probe", "linear_probe: it trains the task head alone"),
        ("icl+lora", "icl: it trains nothing"),
        ("lora+bitfit+lora", "lora twice with the same settings"),
        ("lora+lorra", "unknown method 'lorra'. Did you mean 'lora'"),
        ("lora+", "cannot read 'lora[+]'"),
        ("lora-bitfit", "cannot read 'lora-bitfit'"),
        ("lora+2", "cannot read '2'"),
    ],
)
def test_what_cannot_be_joined_says_why(text, message):
    with pytest.raises(InputError, match=message):
        parse_method(text)


def test_all_that_cannot_be_joined_is_listed():
    with pytest.raises(InputError, match=r"(?s)full: .*linear_probe: .*joined already"):
        Joined((Full(), LinearProbe(), Joined((LORA, BitFit()))))
    with pytest.raises(InputError, match="two methods or more, found 1"):
        Joined((LORA,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lora(2)+lora(4)", "lora cannot be added: .*update already:.*attention/query"),
        ("lora+vera", "vera cannot be added: .*update already:.*attention/query"),
        ("vera+adalora", "adalora cannot be added: .*update already:.*attention/query"),
        ("prompt_tuning(2)+p_tuning(2)", "p_tuning cannot be added: .* a soft prompt already"),
        ("prefix_tuning(2)+p_tuning_v2", "p_tuning_v2 cannot be added: .* a prefix already"),
        ("adapter(size=2)+adapter(size=3)", "adapter adds the same parameters as adapter"),
    ],
)
def test_two_parts_for_one_place_are_an_error(llama, text, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        attach(llama.params, parse_method(text), KEY)


@pytest.mark.parametrize("other", ["lora(2, targets='up$')", "adalora(2, 2, targets='up$')"])
def test_the_rate_of_one_part_is_not_anothers(llama, other):
    faster = "lora(2, learning_rate_ratio=16, targets='query$')"
    with pytest.raises(InputError, match=r"(?s)factor of one.*mlp/up/lora_b: 16 instead of 1"):
        attach(llama.params, parse_method(f"{faster}+{other}"), KEY)
    same = f"{faster}+lora(3, learning_rate_ratio=16, targets='up$')+bitfit"
    with pytest.raises(InputError, match="no parameter matches"):
        attach(llama.params, parse_method(same), KEY)
    attach(llama.params, parse_method(same.removesuffix("+bitfit")), KEY)


def test_two_parts_of_one_kind_have_other_targets(llama):
    params, _ = attach(llama.params, Joined((LORA, LoRA(4, targets="mlp/up$"))), KEY)
    assert flatten(params)["layers/mlp/up/lora_a"].shape == (3, 16, 4)


def test_a_saved_adapter_comes_back(llama, tmp_path):
    method = parse_method("lora(2)+ia3+adapter(size=2)+ln_tuning")
    params, mask = attach(llama.params, method, KEY)
    moved = {path: leaf + 1 for path, leaf in trained(params, mask).items()}
    save_adapter(tmp_path / "adapter", unflatten(moved), method, llama, {})
    adapter = load_adapter(tmp_path / "adapter", llama)
    assert adapter.method == method
    found = flatten(adapter.params)
    for path, leaf in (flatten(params) | moved).items():
        np.testing.assert_array_equal(found[path], leaf, path)

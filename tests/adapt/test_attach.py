"""Attaching methods: what is added, what trains, and what is never read."""

import dataclasses
import logging
import re
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import Full, LoRA, adapted, attach, parse_method, partition
from fsl_jax.adapt.attach import unread_leaves
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


@dataclasses.dataclass(frozen=True)
class Adds(Method):
    """A method that adds one leaf at a path."""

    path: str
    name: ClassVar[str] = "adds"
    learning_rates: ClassVar[tuple[float, ...]] = (1.0,)
    rules: ClassVar[tuple[str, ...]] = ("/(misspelt|lora_[ab])$",)

    def extend(self, params, key):
        return unflatten(flatten(params) | {self.path: jnp.zeros((3, 16))})


def test_an_added_leaf_that_no_layer_reads_is_an_error_that_lists_it(bert, hidden):
    method = Adds("layers/attention/query/misspelt")
    with pytest.raises(InputError, match=r"never reads(.|\n)*- layers/attention/query/misspelt$"):
        attach(bert.params, method, KEY, lambda params: hidden(bert, params))


def test_lora_on_a_place_without_a_hook_is_an_error_that_lists_the_layers_with_one(llama):
    params = llama.params | {"unembedding": {"kernel": jnp.zeros((16, 50))}}
    with pytest.raises(InputError, match="'unembedding' match none of the layers") as error:
        attach(params, LoRA(targets="unembedding"), KEY)
    listed = [line.strip() for line in str(error.value).splitlines()[1:]]
    assert "layers/attention/query" in listed
    assert not any("unembedding" in line for line in listed)


def test_a_leaf_of_the_base_that_is_never_read_stays_frozen(bert, hidden):
    _, mask = attach(bert.params, Full(), KEY, lambda params: hidden(bert, params))
    frozen = {path for path, chosen in flatten(mask).items() if not chosen}
    assert frozen == {"pooler/kernel", "pooler/bias"}


def test_a_method_of_whose_leaves_none_is_read_is_an_error(bert, hidden):
    class Pooling(Full):
        rules = ("^pooler/",)

    with pytest.raises(InputError, match=r"(?s)would change nothing.*- pooler/bias"):
        attach(bert.params, Pooling(), KEY, lambda params: hidden(bert, params))


def test_without_a_forward_pass_the_rules_alone_decide(bert):
    params, mask = attach(bert.params, Full(), KEY)
    assert params is bert.params
    assert all(flatten(mask).values())


def test_a_head_trains_with_every_method(bert, hidden):
    params = bert.params | {"head": {"kernel": jnp.zeros((16, 2)), "bias": jnp.zeros(2)}}
    _, mask = attach(
        params,
        LoRA(),
        KEY,
        lambda params: (
            hidden(bert, params) @ params["head"]["kernel"] + params["head"]["bias"][None, None]
        ),
    )
    trained = {path for path, chosen in flatten(mask).items() if chosen}
    assert {"head/kernel", "head/bias", "layers/attention/query/lora_a"} <= trained
    assert all("lora" in path or path.startswith("head/") for path in trained)


def test_unread_leaves_are_found_inside_the_loop_over_layers(llama, hidden):
    stray = {"layers/mlp/up/lora_scale": jnp.ones(3)}
    params = unflatten(flatten(llama.params) | stray)
    assert unread_leaves(lambda params: hidden(llama, params), params) == set(stray)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lora", ""),
        ("p_tuning+bitfit", ""),
        ("adalora", "adalora trains as published only with a penalty.* and a change of its leaves"),
        ("adalora+prompt_tuning", "adalora trains as published only with a penalty"),
    ],
)
def test_a_method_with_hooks_of_its_own_says_so_once(bert, caplog, monkeypatch, text, told):
    monkeypatch.setattr(logging.getLogger("absl"), "propagate", True)
    attach(bert.params, parse_method(text), KEY)
    assert re.fullmatch(f".*{told}.*" if told else "", caplog.text.strip())
    caplog.clear()
    attach(bert.params, parse_method(text), KEY, calls_hooks=True)
    assert caplog.text == ""


def test_adapted_leaves_are_those_of_the_model_beside_the_penalty(bert):
    for text in ("lora", "vera", "adalora"):
        method = parse_method(text)
        params, mask = attach(bert.params, method, KEY, calls_hooks=True)
        whole, penalty = adapted(method, *partition(params, mask))
        assert flatten(whole).keys() == flatten(method.reparametrize(params)).keys()
        expected = method.penalty(params)
        np.testing.assert_array_equal(penalty, 0.0 if expected is None else expected)

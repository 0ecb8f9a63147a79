"""AdaLoRA to and from PEFT's files. That PEFT computes the same is in `tests/conformance`."""

import json

import jax
import numpy as np
import pytest
from etils import epath

from fsl_jax.adapt import AdaLoRA
from fsl_jax.adapt.peft.adalora import ADALORA_KIND
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

METHOD = AdaLoRA(rank=4, target_rank=2, alpha=6.0, targets="(query|down)$", warmup=0.2)
QUERY = "base_model.model.model.layers.{}.self_attn.q_proj"


@pytest.fixture
def leaves(llama):
    """Leaves of which some values have been set to zero, all of one layer among them."""
    shapes = flatten(jax.eval_shape(METHOD.extend, llama.params, jax.random.key(0)))
    random = np.random.default_rng(0)
    found = {
        path: random.normal(size=leaf.shape).astype(np.float32)
        for path, leaf in shapes.items()
        if path.endswith(("lora_a", "lora_e", "lora_b"))
    }
    found["layers/attention/query/lora_e"][0, [1, 3]] = 0
    found["layers/attention/query/lora_e"][2] = 0
    return found


@pytest.fixture
def files(llama, leaves):
    """The config and the tensors of a sound adapter, as they are in the files."""
    tensors, values = ADALORA_KIND.write(leaves, METHOD, llama)
    return json.loads(json.dumps(values)), tensors


def read(files, pretrained):
    return ADALORA_KIND.read(*files, pretrained, epath.Path("somewhere"))


def test_values_of_zero_are_left_out_and_come_back_as_zeros(llama, leaves, files):
    values, tensors = files
    assert values["rank_pattern"]["model.layers.0.self_attn.q_proj.lora_E"] == [1, 0, 1, 0]
    assert tensors[f"{QUERY.format(0)}.lora_A"].shape == (2, 16)
    assert tensors[f"{QUERY.format(0)}.lora_E"].shape == (2, 1)
    assert tensors[f"{QUERY.format(0)}.lora_B"].shape == (16, 2)
    assert tensors[f"{QUERY.format(2)}.lora_A"].shape == (1, 16)
    method, found = read(files, llama)
    assert method.scale == METHOD.scale
    assert (method.rank, method.target_rank, method.warmup) == (4, 2, 0.2)
    np.testing.assert_allclose(found["layers/mlp/down/lora_scale"], np.full(3, 1.5), rtol=1e-5)
    for path, leaf in leaves.items():
        if path.endswith("lora_e") or "down" in path:
            np.testing.assert_array_equal(found[path], leaf, path)
    np.testing.assert_array_equal(
        found["layers/attention/query/lora_a"][0],
        leaves["layers/attention/query/lora_a"][0] * np.float32([1, 0, 1, 0]),
    )


def test_without_a_pattern_all_ranks_are_whole(llama, leaves):
    leaves["layers/attention/query/lora_e"][:] = 1
    tensors, values = ADALORA_KIND.write(leaves, METHOD, llama)
    _, found = read((values | {"rank_pattern": None}, tensors), llama)
    for path, leaf in leaves.items():
        np.testing.assert_array_equal(found[path], leaf, path)


def test_a_pattern_that_does_not_fit_is_refused(llama, files):
    values, tensors = files
    values["rank_pattern"]["model.layers.1.self_attn.q_proj.lora_E"] = [True, False, True, True]
    values["rank_pattern"]["model.layers.0.mlp.down_proj.lora_E"] = [True]
    with pytest.raises(InputError) as error:
        read((values, tensors), llama)
    assert "rank_pattern has 1 values for model.layers.0.mlp.down_proj.lora_E, expected 4" in str(
        error.value
    )
    assert f"{QUERY.format(1)}.lora_A has a rank of 4, and rank_pattern keeps 3" in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("peft_type", "LORA", "peft_type is 'LORA'; expected 'ADALORA'"),
        ("init_r", 0, "init_r is 0; expected a whole number"),
        ("tfinal", -1, "tfinal is -1; expected a number of steps"),
        ("rank_pattern", {"a": 4}, "rank_pattern is {'a': 4}; expected lists of true and false"),
        ("rank_pattern", [True], r"rank_pattern is \[True\]; expected lists of true and false"),
        ("lora_alpha", 0, "lora_alpha is 0; expected a number above 0"),
        ("bias", "all", "bias is 'all', which is not supported"),
        ("layers_to_transform", [3], r"has \[3\]; the layers are numbered from 0 to 2"),
        ("alpha_pattern", {"q_proj": 4}, "alpha_pattern is .* not supported"),
    ],
)
def test_more_than_plain_adalora_is_refused_by_name(llama, files, field, value, message):
    values, tensors = files
    with pytest.raises(InputError, match=message):
        read((values | {field: value}, tensors), llama)


def test_faults_of_the_config_and_of_tensors_are_told_together(
    llama, files, require_faults_together
):
    require_faults_together(read, files, llama)

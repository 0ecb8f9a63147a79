"""The layers that IA3 scales at their input. PEFT's own matching is the reference."""

import types

import numpy as np
import pytest
from peft.tuners.ia3.model import IA3Model

from fsl_jax.adapt import IA3
from fsl_jax.adapt.peft.feedforward import Feedforward, feedforward_problems
from fsl_jax.adapt.peft.ia3 import IA3_KIND
from fsl_jax.errors import InputError

NAMES = [
    *(f"encoder.block.{i}.layer.0.SelfAttention.{end}" for i in range(3) for end in "qkvo"),
    *(f"encoder.block.{i}.layer.1.DenseReluDense.{end}" for i in range(3) for end in ("wi", "wo")),
    "output.dense",
]


@pytest.mark.parametrize(
    "named",
    [["wo"], ["o"], ["DenseReluDense.wo", "v"], [], r".*\.1\..*o", "wo", ["output.dense"]],
)
def test_the_same_layers_are_feedforward_as_in_peft(named):
    config = types.SimpleNamespace(feedforward_modules=named)
    feedforward = Feedforward.read({"feedforward_modules": named}, {})
    for name in NAMES:
        expected = IA3Model._check_target_module_feedforward(config, name)
        assert feedforward.has(name) == expected, name
    assert feedforward_problems({"feedforward_modules": named}) == []


@pytest.fixture
def files(llama):
    """The config and the tensors of a sound adapter: keys, and inputs of `down_proj`."""
    leaves = {
        "layers/attention/key/ia3": np.full((3, 8), 2.0, np.float32),
        "layers/mlp/down/ia3_in": np.full((3, 32), 3.0, np.float32),
    }
    tensors, values = IA3_KIND.write(leaves, IA3(), llama)
    return values, tensors


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ([], r"down_proj.ia3_l is \[1, 32\], expected \[16, 1\]"),
        (["k_proj", "down_proj"], r"k_proj.ia3_l is \[8, 1\], expected \[1, 16\]"),
        (r".*\.[01]\.mlp\.down_proj", "names .*down_proj in some of the layers only"),
        (["q_proj"], r"has \['q_proj'\], which target_modules has not; PEFT does not allow"),
        ("(", r"feedforward_modules has '\(', which is no regular expression"),
        (3, "feedforward_modules is 3; expected names"),
    ],
)
def test_the_config_says_which_shape_a_vector_has(llama, files, named, message):
    values, tensors = files
    with pytest.raises(InputError, match=message):
        IA3_KIND.read(values | {"feedforward_modules": named}, tensors, llama, "there")


def test_without_a_word_of_the_config_the_tensors_say_it(llama, files):
    values, tensors = files
    leaves = IA3_KIND.read(values | {"feedforward_modules": None}, tensors, llama, "there")[1]
    assert list(leaves) == ["layers/attention/key/ia3", "layers/mlp/down/ia3_in"]


def test_inputs_of_a_layer_that_is_several_here_are_refused(tiny):
    base = tiny("gpt2")
    leaves = {"layers/attention/key/ia3": np.full((3, 16), 2.0, np.float32)}
    tensors, values = IA3_KIND.write(leaves, IA3(), base)
    with pytest.raises(InputError, match=r"c_attn, which is 3 layers here, each with an input"):
        IA3_KIND.read(values | {"feedforward_modules": ["c_attn"]}, tensors, base, "there")


def test_an_end_of_a_name_that_another_layer_has_too_is_spelt_out(tiny):
    base = tiny("t5")
    widths = {"encoder/layers/attention/output/ia3_in": 8, "encoder/layers/mlp/down/ia3": 16}
    leaves = {path: np.full((2, width), 2.0, np.float32) for path, width in widths.items()}
    tensors, values = IA3_KIND.write(leaves, IA3(), base)
    found = IA3_KIND.read(values, tensors, base, "there")[1]
    assert found.keys() == leaves.keys()
    config = types.SimpleNamespace(feedforward_modules=values["feedforward_modules"])
    for name, tensor in tensors.items():
        module = name.removeprefix("base_model.model.").removesuffix(".ia3_l")
        lies = IA3Model._check_target_module_feedforward(config, module)
        assert lies == (tensor.shape[0] == 1)

"""VeRA from PEFT: on which layers, and what is refused. The numbers are in `tests/conformance`."""

import json

import jax
import numpy as np
import peft
import pytest
import safetensors.numpy
import transformers
from etils import epath

from fsl_jax.adapt import VeRA, load_adapter, save_peft
from fsl_jax.adapt.peft.vera import VERA_KIND
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

METHOD = VeRA(rank=3, targets="(query|value)$")


@pytest.fixture
def files(llama):
    """The config and the tensors of a sound adapter, as they are in the files."""
    leaves = {
        path: np.asarray(leaf)
        for path, leaf in flatten(METHOD.extend(llama.params, jax.random.key(0))).items()
        if "vera" in path
    }
    tensors, values = VERA_KIND.write(leaves, METHOD, llama)
    return json.loads(json.dumps(values)), tensors


def read(files, pretrained):
    return VERA_KIND.read(*files, pretrained, epath.Path("somewhere"))


def test_the_key_is_known_where_the_matrices_are_drawn_from_it(llama, files):
    values, tensors = files
    assert read(files, llama)[0].projection_key == 0
    others = tensors | {"base_model.vera_A": 2 * tensors["base_model.vera_A"]}
    assert read((values, others), llama)[0].projection_key == -1


@pytest.mark.parametrize("key", [None, "0", 2**64, -3, 1.5])
def test_a_key_that_is_none_here_is_left_out(llama, files, key):
    values, tensors = files
    method, leaves = read((values | {"projection_prng_key": key}, tensors), llama)
    assert method.projection_key == -1
    np.testing.assert_array_equal(leaves["vera/a"].T, tensors["base_model.vera_A"])


@pytest.mark.parametrize(
    "targets",
    [
        {"target_modules": ["q_proj", "down_proj"], "layers_to_transform": [0, 2]},
        {"target_modules": r".*\.0\..*(q|up)_proj|.*\.1\..*v_proj"},
    ],
)
def test_an_adapter_of_pefts_on_some_layers_comes_back_as_it_was(
    llama, tmp_path, targets, adapted_by_peft
):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "vocab_size": 50}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    plain = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads))
    model = adapted_by_peft(plain, peft.VeraConfig(r=3, **targets), scale=1.0)
    model.save_pretrained(str(tmp_path / "theirs"))
    adapter = load_adapter(tmp_path / "theirs", llama)
    save_peft(tmp_path / "ours", adapter.params, llama, adapter.method)
    found, expected = (
        safetensors.numpy.load_file(tmp_path / name / "adapter_model.safetensors")
        for name in ("ours", "theirs")
    )
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor, expected[name], name)
    names = json.loads((tmp_path / "ours/adapter_config.json").read_text())["target_modules"]
    assert {f"base_model.model.{name}.vera_lambda_b" for name in names} < found.keys()


@pytest.mark.parametrize("kept", [True, False])
def test_without_its_matrices_it_is_refused_with_the_reason(llama, files, kept):
    values, tensors = files
    vectors = {name: each for name, each in tensors.items() if "vera_lambda" in name}
    with pytest.raises(InputError, match=r"(?s)save_projection|base_model\.vera_A.*generator"):
        read((values | {"save_projection": kept}, vectors), llama)


def test_tensors_at_fault_are_all_listed(llama, files):
    values, tensors = files
    layer = "base_model.model.model.layers"
    tensors["base_model.model.model.norm.weights"] = np.ones(16, np.float32)
    tensors[f"{layer}.0.self_attn.q_proj.vera_lambda_d"] = np.ones(4, np.float32)
    del tensors[f"{layer}.1.self_attn.v_proj.vera_lambda_b"], tensors["base_model.vera_B"]
    with pytest.raises(InputError) as error:
        read((values, tensors), llama)
    assert [line.strip(" -") for line in str(error.value).splitlines()[1:]] == [
        "not known: base_model.model.model.norm.weights",
        f"wrong shape: {layer}.0.self_attn.q_proj.vera_lambda_d is [4], expected [3]",
        f"missing: {layer}.1.self_attn.v_proj.vera_lambda_b",
        "missing: base_model.vera_B, a random matrix that PEFT would draw by PyTorch's generator",
    ]


def test_matrices_are_as_large_as_the_widest_layers(llama, files):
    values, tensors = files
    tensors["base_model.vera_A"] = np.ones((3, 17), np.float32)
    with pytest.raises(InputError, match=r"vera_A is \[3, 17\], expected \[3, 16\]"):
        read((values, tensors), llama)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("peft_type", "LORA", "peft_type is 'LORA'; expected 'VERA'"),
        ("r", 0, "r is 0; expected a whole number"),
        ("bias", "vera_only", "bias is 'vera_only', which is not supported"),
        ("layers_to_transform", [3], r"has \[3\]; the layers are numbered from 0 to 2"),
        ("target_modules", "(", r"target_modules has '\(', which is no regular expression"),
    ],
)
def test_more_than_plain_vera_is_refused_by_name(llama, files, field, value, message):
    values, tensors = files
    with pytest.raises(InputError, match=message):
        read((values | {field: value}, tensors), llama)


def test_faults_of_the_config_and_of_tensors_are_told_together(
    llama, files, require_faults_together
):
    require_faults_together(read, files, llama)

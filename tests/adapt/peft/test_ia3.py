"""IA3 and LN tuning in PEFT's files, which are read strictly."""

import numpy as np
import pytest

from fsl_jax.adapt import IA3, LNTuning
from fsl_jax.adapt.peft.ia3 import IA3_KIND, has_vectors_for
from fsl_jax.adapt.peft.ln_tuning import LN_TUNING_KIND, has_norms_for
from fsl_jax.errors import InputError

K_PROJ = "base_model.model.model.layers.{}.self_attn.k_proj.ia3_l"
NORM = "base_model.model.model.layers.{}.input_layernorm.ln_tuning_layers.weight"
WRITE = {"IA3": IA3_KIND.write, "LN_TUNING": LN_TUNING_KIND.write}
METHODS = {"IA3": IA3(), "LN_TUNING": LNTuning()}
READ = {"IA3": IA3_KIND.read, "LN_TUNING": LN_TUNING_KIND.read}


def leaves_of(kind, base):
    random = np.random.default_rng(0)
    shapes = {"layers/attention/key/ia3": (3, 8), "layers/mlp/down/ia3_in": (3, 32)}
    if kind == "LN_TUNING":
        shapes = {"layers/attention/norm/scale": (3, 16), "final_norm/scale": (16,)}
    return {path: np.float32(random.normal(size=shape)) for path, shape in shapes.items()}


@pytest.mark.parametrize("kind", ["IA3", "LN_TUNING"])
def test_what_is_written_is_read(llama, kind):
    leaves = leaves_of(kind, llama)
    tensors, values = WRITE[kind](leaves, METHODS[kind], llama)
    method, found = READ[kind](values, tensors, llama, "there")
    assert found.keys() == leaves.keys()
    for path, leaf in found.items():
        np.testing.assert_array_equal(leaf, leaves[path], path)
    if kind == "IA3":
        assert values["target_modules"] == ["down_proj", "k_proj"]
        assert values["feedforward_modules"] == ["down_proj"]
        assert tensors[K_PROJ.format(0)].shape == (8, 1)
        assert method == IA3("^(layers/attention/key)$", "^(layers/mlp/down)$")
    else:
        assert values["target_modules"] == ["input_layernorm", "norm"]
        assert method == LNTuning("final_norm|layers/attention/norm")


def test_gpt2_has_one_vector_for_queries_keys_and_values(tiny):
    base, random = tiny("gpt2"), np.random.default_rng(0)
    places = [f"layers/attention/{name}/ia3" for name in ("key", "value")]
    leaves = {place: np.float32(random.normal(size=(3, 16))) for place in places}
    tensors, values = IA3_KIND.write(leaves, IA3(), base)
    assert values["target_modules"] == ["c_attn"]
    vector = tensors["base_model.model.transformer.h.0.attn.c_attn.ia3_l"]
    np.testing.assert_array_equal(vector[:16], 1)
    np.testing.assert_array_equal(vector[16:32, 0], leaves[places[0]][0])
    method, found = IA3_KIND.read(values, tensors, base, "there")
    assert list(found) == places
    assert method.inputs == ""


@pytest.mark.parametrize(
    ("paths", "served"),
    [
        (["layers/attention/key/ia3", "layers/mlp/down/ia3_in"], True),
        (["layers/attention/query/ia3_in"], False),
        (["layers/mlp/down/ia3", "layers/mlp/down/ia3_in"], False),
        (["layers/attention/key/lora_a"], False),
    ],
)
def test_what_peft_has_no_vector_for_is_not_served(tiny, paths, served):
    assert has_vectors_for(paths, tiny("gpt2").config) == served


@pytest.mark.parametrize(
    ("paths", "served"),
    [
        (["layers/mlp/norm/scale", "layers/mlp/norm/bias"], True),
        (["layers/mlp/norm/scale"], False),
        (["layers/mlp/norm/scale", "layers/mlp/norm/bias", "layers/mlp/up/bias"], False),
    ],
)
def test_whole_norms_are_served(bert, paths, served):
    assert has_norms_for(paths, bert.config) == served


@pytest.mark.parametrize(("kind", "name"), [("IA3", K_PROJ), ("LN_TUNING", NORM)])
def test_all_that_is_wrong_is_listed(llama, kind, name):
    tensors, values = WRITE[kind](leaves_of(kind, llama), METHODS[kind], llama)
    tensors.pop(name.format(2))
    tensors[name.format(0)] = np.ones((5, 1), np.float32)
    smuggled = "base_model.model.model.embed_tokens.weight"
    tensors[smuggled] = np.ones((50, 16), np.float32)
    values |= {"modules_to_save": ["embed_tokens"], "something_new": 3}
    with pytest.raises(InputError) as error:
        READ[kind](values, tensors, llama, "there")
    for words in (
        "there: this adapter cannot be used with tiny-llama",
        f"missing: {name.format(2)}",
        f"wrong shape: {name.format(0)} is [5, 1], expected",
        f"{smuggled} is an embedding of its own in PEFT",
        "something_new is 3, which is not supported",
    ):
        assert words in str(error.value)


def test_a_target_without_tensors_is_missing(llama):
    tensors, values = IA3_KIND.write(leaves_of("IA3", llama), IA3(), llama)
    values["target_modules"] = [*values["target_modules"], "v_proj"]
    with pytest.raises(InputError, match=r"missing: .*layers.1.self_attn.v_proj.ia3_l"):
        IA3_KIND.read(values, tensors, llama, "there")
    values["exclude_modules"] = ["v_proj"]
    assert IA3_KIND.read(values, tensors, llama, "there")[1]


def test_layers_scaled_in_different_places_cannot_be_one_leaf(llama):
    tensors, values = IA3_KIND.write(leaves_of("IA3", llama), IA3(), llama)
    name = "base_model.model.model.layers.1.mlp.down_proj.ia3_l"
    tensors[name] = np.ones((16, 1), np.float32)
    with pytest.raises(InputError, match=r"down_proj.ia3_l is \[16, 1\], expected \[1, 32\]"):
        IA3_KIND.read(values, tensors, llama, "there")


@pytest.mark.parametrize("kind", ["IA3", "LN_TUNING"])
def test_an_adapter_of_another_kind_or_of_nothing_is_an_error(llama, kind):
    with pytest.raises(InputError, match=r"(?s)peft_type is 'LORA'.*no layer has tensors"):
        READ[kind]({"peft_type": "LORA"}, {}, llama, "there")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("target_modules", "all-linear", "target_modules is 'all-linear', and no norm is a linear"),
        ("target_modules", "(", r"target_modules has '\(', which is no regular expression"),
        ("target_modules", ["q_proj"], r"target_modules \('q_proj',\) name no layer that this"),
        ("layers_to_transform", [1], r"layers_to_transform is \[1\], which is not supported"),
        ("feedforward_modules", ["norm"], "feedforward_modules is .*, which is not supported"),
    ],
)
def test_targets_that_are_no_norms_are_refused(llama, field, value, message):
    tensors, values = LN_TUNING_KIND.write(leaves_of("LN_TUNING", llama), LNTuning(), llama)
    with pytest.raises(InputError, match=message):
        LN_TUNING_KIND.read(values | {field: value}, tensors, llama, "there")

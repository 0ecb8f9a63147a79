from types import MappingProxyType

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.attention.rotary import LinearScaling, Llama3Scaling, rotary_frequencies
from fsl_jax.models.families.llama.gguf import llama_gguf_config, llama_gguf_tensor_map
from fsl_jax.models.families.registry import parameter_shapes
from fsl_jax.models.tensors.tensor_map import TRANSPOSE

METADATA = {
    "general.architecture": "llama",
    "llama.embedding_length": np.uint32(32),
    "llama.feed_forward_length": 48,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.context_length": 24,
    "llama.rope.freq_base": 500.0,
    "llama.attention.layer_norm_rms_epsilon": 1e-6,
    "llama.rope.dimension_count": 8,
}

LINEAR = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}


class Tensor:
    """A tensor in a file."""

    def __init__(self, array):
        self.shape = array.shape
        self.load = lambda: array


def config_of(metadata, tensors=MappingProxyType({})):
    usual = {"token_embd.weight": Tensor(np.ones((40, 32)))}
    # The largest sizes that the metadata may have come from the tensors.
    usual |= {f"blk.{layer}.ffn_up.weight": Tensor(np.ones((48, 32))) for layer in range(2)}
    return llama_gguf_config("model.gguf", metadata, {**usual, **tensors})


@pytest.mark.parametrize("tensors", [{}, {"output.weight": Tensor(np.ones((40, 32)))}])
def test_there_is_a_name_for_each_leaf(tensors):
    config = config_of(METADATA, tensors)
    assert config.tied != bool(tensors)
    paths = [name.path for name in llama_gguf_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


def test_sizes_come_from_the_metadata():
    config = config_of(METADATA)
    assert (config.num_kv_heads, config.head_dim, config.max_length) == (2, 8, 24)
    assert (config.rope_theta, config.norm_epsilon) == (500.0, 1e-6)


def test_a_sliding_window_is_that_of_mistral():
    config = config_of({**METADATA, "llama.attention.sliding_window": 8})
    assert (config.family, config.window, config.sliding) == ("mistral", 8, (True, True))
    own = {key.replace("llama.", "qwen2."): METADATA[key] for key in METADATA}
    own |= {"general.architecture": "qwen2"}
    assert not config_of({**own, "qwen2.attention.sliding_window": 24}).sliding
    with pytest.raises(InputError, match=r"sliding_window is 8; expected none"):
        config_of({**own, "qwen2.attention.sliding_window": 8})


def test_qwen_has_biases_or_norms_of_heads_and_its_rows_in_order():
    for architecture, leaf in {"qwen2": "query/bias", "qwen3": "query_norm/scale"}.items():
        own = {key.replace("llama.", f"{architecture}."): METADATA[key] for key in METADATA}
        config = config_of(own | {"general.architecture": architecture})
        assert (config.family, config.num_kv_heads) == (architecture, 2)
        names = {entry.path: entry for entry in llama_gguf_tensor_map(config).rules}
        assert sorted(names) == sorted(parameter_shapes(config))
        assert f"layers/attention/{leaf}" in names
        assert names["layers/attention/query/kernel"].transform == TRANSPOSE


@pytest.mark.parametrize(("part", "heads"), [("attn_q", 4), ("attn_k", 2)])
def test_neighbouring_rows_of_a_head_go_half_a_head_apart(part, heads):
    name = next(
        name for name in llama_gguf_tensor_map(config_of(METADATA)).rules if part in name.tensor
    )
    rows = np.arange(heads * 8)
    tensor = np.tile(rows[:, None], (1, 32))
    order = name.transform.to_leaf(tensor)[0]
    np.testing.assert_array_equal(order[:8], [0, 2, 4, 6, 1, 3, 5, 7])
    np.testing.assert_array_equal(order[8:16], order[:8] + 8)
    np.testing.assert_array_equal(name.transform.to_tensor(name.transform.to_leaf(tensor)), tensor)
    assert name.transform.tensor_shape((32, heads * 8)) == tensor.shape


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rope.scaling.type", "yarn"),
        ("rope.scaling.factor", -1.0),
        ("rope.scale_linear", 0.25),
        ("expert_count", 8),
        ("rope.dimension_count", 4),
        ("rope.dimension_count", 0),
        ("rope.scaling.attn_factor", 2.0),
        ("rope.scaling.yarn_beta_fast", 16.0),
        ("rope.freq_base_swa", 10_000.0),
        ("attention.scale", 0.5),
        ("attention.head_count_kv", 3),
        ("attention.key_length", 7),
        ("final_logit_softcapping", 30.0),
        ("logit_scale", 2.0),
        ("attention.value_length", 16),
        ("block_count", None),
    ],
)
def test_what_is_not_supported_or_missing_is_an_error(key, value):
    with pytest.raises(InputError, match=key.replace(".", r"\.")):
        config_of({**METADATA, **LINEAR, f"llama.{key}": value})


@pytest.mark.parametrize(
    ("keys", "factor"),
    [
        ({"scaling.type": "linear", "scaling.factor": 4.0}, 4.0),
        ({"scaling.factor": 4.0}, 4.0),
        ({"scale_linear": 4.0}, 4.0),
        ({"scale_linear": 4.0, "scaling.factor": 4.0, "scaling.type": "linear"}, 4.0),
        ({"scaling.type": "none", "scaling.factor": 4.0}, None),
        ({"scaling.type": "linear"}, None),
        ({"scaling.factor": 0.0}, None),
        ({"scaling.factor": 1.0}, None),
        ({}, None),
    ],
)
def test_a_factor_is_linear_unless_the_type_is_none(keys, factor):
    config = config_of(METADATA | {f"llama.rope.{key}": value for key, value in keys.items()})
    assert config.rope_scaling == (None if factor is None else LinearScaling(factor))


def test_a_scale_that_follows_from_the_width_of_a_head_is_accepted():
    scale = float(np.float32(8**-0.5))
    assert config_of({**METADATA, "llama.attention.scale": scale}) == config_of(METADATA)


def test_the_scaling_of_llama_3_comes_from_its_factors():
    metadata = {**METADATA, "llama.rope.freq_base": 5e5}
    scaling = Llama3Scaling(32.0, 1.0, 4.0, 8192)
    factors = rotary_frequencies(8, 5e5, None) / rotary_frequencies(8, 5e5, scaling)
    assert 1 == factors[0] < factors[-1] == 32
    config = config_of(metadata, {"rope_freqs.weight": Tensor(factors)})
    assert config.rope_scaling == scaling
    assert llama_gguf_tensor_map(config).is_ignored("rope_freqs.weight")


@pytest.mark.parametrize("factors", [[1.0, 2.0, 3.0, 8.0], [1.0, 8.0]])
def test_factors_of_another_scaling_are_an_error(factors):
    tensors = {"rope_freqs.weight": Tensor(np.array(factors, np.float32))}
    with pytest.raises(InputError, match="expected the factors of Llama 3"):
        config_of(METADATA, tensors)


def test_a_file_has_either_factors_or_a_factor():
    tensors = {"rope_freqs.weight": Tensor(np.ones(4, np.float32))}
    assert config_of(METADATA, tensors).rope_scaling == Llama3Scaling(1.0, 1.0, 4.0, 8192)
    with pytest.raises(InputError, match=r"rope\.scaling\.factor is 4\.0; expected 1 in a file"):
        config_of({**METADATA, **LINEAR}, tensors)

"""Stacked adapters: how they are padded, what stands for a missing leaf, and what is refused."""

import jax
import numpy as np
import pytest

from fsl_jax.adapt import parse_method, stack_adapters
from fsl_jax.errors import InputError

KEY = jax.random.key(0)


def test_an_update_without_an_inner_factor_has_ones_at_its_own_rank(llama):
    texts = ("lora(2)", "adalora(3, 1)", "ia3")
    trees = [parse_method(text).extend(llama.params, KEY) for text in texts]
    query = stack_adapters(trees, llama)["layers"]["attention"]["query"]
    expected = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1]], np.float32)
    np.testing.assert_array_equal(query["lora_e"], np.repeat(expected[:, None], 3, axis=1))
    assert not query["lora_a"][0, :, :, 2].any()
    assert query["lora_a"][1, :, :, 2].all()


def test_what_all_layers_share_is_repeated(llama):
    methods = [parse_method(text) for text in ("vera(2)", "lora(2)")]
    trees = [method.reparametrize(method.extend(llama.params, KEY)) for method in methods]
    query = stack_adapters(trees, llama)["layers"]["attention"]["query"]
    shared = trees[0]["layers"]["attention"]["query"]["lora_a"]
    assert shared.shape == (1, 16, 2)
    np.testing.assert_array_equal(query["lora_a"][0], np.repeat(shared, 3, axis=0))
    assert query["lora_scale"].shape == (2, 3, 16)


def test_what_cannot_share_a_batch_is_an_error_that_lists_all(llama, tiny):
    texts = ("top_layers(1)", "lora(2)", "lora(2, start='pissa')", "vera(2)", "p_tuning(2)")
    key, methods = jax.random.key(0), [parse_method(text) for text in texts]
    trees = [method.extend(llama.params, key) for method in methods]
    with pytest.raises(InputError) as caught:
        stack_adapters([*trees, tiny("bert").params], llama)
    lines = caught.value.problems
    assert lines[0].startswith("adapter 0: its layers are cut in two")
    assert {line.partition(":")[0][-1] for line in lines} == set("02345")
    for place in (
        "2: layers/attention/query/lora_a_start is not what the model reads",
        "3: layers/attention/query/vera_d is not",
        "4: prompt_encoder/embedding is not",
        "5: layers/mlp/up/kernel is [3, 16, 32] and the base's is",
    ):
        assert sum(place in line for line in lines) == (place[0] != "5")
    assert any("5: " in line and "and the base's is [" in line for line in lines)
    with pytest.raises(InputError, match="found 1 trees without a leaf that is not the base's"):
        stack_adapters([llama.params], llama)

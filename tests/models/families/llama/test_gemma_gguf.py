import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.llama.gemma_gguf import gemma2_gguf_config, gemma3_gguf_config
from fsl_jax.models.families.llama.gguf import llama_gguf_tensor_map

READERS = {"gemma2": gemma2_gguf_config, "gemma3": gemma3_gguf_config}
SIZES = {
    "embedding_length": 96,
    "feed_forward_length": 48,
    "block_count": 7,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.key_length": 16,
    "context_length": 24,
    "attention.sliding_window": 8,
}


class Table:
    shape = (40, 96)

    def load(self):
        return np.zeros(self.shape)


def config_of(architecture, **changes):
    sizes = SIZES | {key.replace("__", "."): value for key, value in changes.items()}
    metadata = {f"{architecture}.{key}": value for key, value in sizes.items()}
    metadata["general.architecture"] = architecture
    tensors = {"token_embd.weight": Table()} | {f"blk.{layer}": Table() for layer in range(62)}
    return READERS[architecture]("model.gguf", metadata, tensors)


def test_what_the_files_leave_out_is_known():
    gemma2, gemma3 = config_of("gemma2", attention__sliding_window=None), config_of("gemma3")
    assert (gemma2.window, gemma2.score_cap, gemma2.logit_cap) == (4096, 50.0, 30.0)
    assert gemma2.sliding == (True, False, True, False, True, False, True)
    assert (gemma3.window, gemma3.score_cap, gemma3.logit_cap) == (8, None, None)
    assert gemma3.sliding == (True, True, True, True, True, False, True)
    assert (gemma2.local_rope_theta, gemma3.local_rope_theta) == (None, 10_000.0)


@pytest.mark.parametrize(("architecture", "layers"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_scales_attention_by_its_width(architecture, layers):
    assert config_of(architecture).query_scale == 16**-0.5
    assert config_of(architecture, block_count=layers).query_scale == 24**-0.5
    assert config_of(architecture, attention__scale=0.5).query_scale == 0.5


def test_the_pattern_of_windows_may_be_given():
    def sliding(pattern):
        return config_of("gemma3", attention__sliding_window_pattern=pattern).sliding

    assert sliding(3) == (True, True, False, True, True, False, True)
    given = np.array([True, False, False, True, False, False, False])
    assert sliding(given) == tuple(given)
    assert sliding(0) == (True,) * 7
    assert sliding(1) == (False,) * 7
    for other in (given[:5], np.arange(7), ["a"] * 7, 2.5):
        with pytest.raises(InputError, match=r"sliding_window_pattern is .*; expected"):
            sliding(other)


def test_caps_and_bases_that_a_family_lacks_are_refused():
    assert config_of("gemma3", final_logit_softcapping=0.0) == config_of("gemma3")
    assert config_of("gemma3", final_logit_softcapping=20.0).logit_cap == 20.0
    for key, value in {"attn_logit_softcapping": 50.0, "embedding_scale": 1.0}.items():
        with pytest.raises(InputError, match=f"{key} is {value}"):
            config_of("gemma3", **{key: value})
    with pytest.raises(InputError, match=r"freq_base_swa is 5000\.0; expected 10000\.0"):
        config_of("gemma2", rope__freq_base_swa=5000.0)


def test_norms_of_files_hold_one_more():
    config = config_of("gemma2")
    found = {name.path: name.transform for name in llama_gguf_tensor_map(config).rules}
    scales = [path for path in found if path.endswith("/scale")]
    assert len(scales) == 5
    for path in scales:
        assert found[path].to_leaf(np.float32([1.5])) == 0.5
        assert found[path].to_tensor(np.float32([0.5])) == 1.5


def test_a_file_without_a_window_or_an_embedding_is_an_error():
    with pytest.raises(InputError, match=r"gemma3.* metadata.*\n.*sliding_window is missing"):
        config_of("gemma3", attention__sliding_window=None)
    with pytest.raises(InputError, match=r"token_embd\.weight is missing"):
        gemma2_gguf_config("model.gguf", {"general.architecture": "gemma2"}, {})

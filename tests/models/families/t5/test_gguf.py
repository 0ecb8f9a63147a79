import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.registry import parameter_shapes
from fsl_jax.models.families.t5.gguf import t5_gguf_config, t5_gguf_tensor_map

METADATA = {
    "general.architecture": "t5",
    "t5.embedding_length": 32,
    "t5.feed_forward_length": 48,
    "t5.block_count": 3,
    "t5.attention.head_count": 4,
    "t5.attention.key_length": 8,
    "t5.attention.relative_buckets_count": 8,
    "t5.attention.layer_norm_rms_epsilon": 1e-5,
    "t5.context_length": 24,
}


class Tensor:
    shape = (48, 32)

    def load(self):
        return np.zeros(self.shape)


def config_of(*tensors, **changes):
    usual = ("token_embd", "enc.output_norm", "dec.output_norm")
    given = {f"{name}.weight": Tensor() for name in (*usual, *tensors)}
    changes = {f"t5.{key.replace('__', '.')}": value for key, value in changes.items()}
    return t5_gguf_config("model.gguf", METADATA | changes, given)


GATE = "enc.blk.0.ffn_gate"


@pytest.mark.parametrize(
    ("tensors", "feed_forward", "tied", "scaled"),
    [
        ((), "relu", True, True),
        (("output",), "relu", False, True),
        ((GATE, "output"), "gated-gelu", False, False),
        ((GATE,), "gated-gelu", True, True),
    ],
)
def test_the_tensors_tell_which_t5_it_is(tensors, feed_forward, tied, scaled):
    config = config_of(*tensors)
    assert (config.feed_forward, config.tied, config.scaled) == (feed_forward, tied, scaled)
    paths = [name.path for name in t5_gguf_tensor_map(config).rules]
    assert sorted(paths) == sorted(parameter_shapes(config))


def test_sizes_come_from_the_metadata():
    config = config_of()
    assert (config.num_decoder_layers, config.max_distance, config.norm_epsilon) == (3, 128, 1e-5)
    other = config_of(decoder_block_count=2, decoder_start_token_id=5)
    assert (other.num_decoder_layers, other.decoder_start_token) == (2, 5)
    assert t5_gguf_tensor_map(other).is_ignored("dec.blk.1.cross_attn_rel_b.weight")


def test_what_is_missing_or_not_supported_is_an_error():
    with pytest.raises(InputError, match=r"value_length is 16(.|\n)*buckets_count is missing"):
        config_of(attention__value_length=16, attention__relative_buckets_count=None)

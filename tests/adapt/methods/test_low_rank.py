"""A linear layer takes one low-rank update, whichever method it is of."""

import pytest

from fsl_jax.adapt.methods.low_rank import low_rank_targets
from fsl_jax.errors import InputError

LEAVES = dict.fromkeys(
    (
        "layers/attention/query/kernel",
        "layers/attention/query/ia3",
        "layers/attention/key/kernel",
        "layers/attention/value/kernel",
    )
)


def test_targets_are_found_beside_other_leaves():
    assert low_rank_targets("lora", "query|key", LEAVES) == [
        "layers/attention/query",
        "layers/attention/key",
    ]


@pytest.mark.parametrize("leaf", ["lora_a", "lora_b", "vera_d"])
def test_a_second_update_is_an_error_that_lists_the_layers(leaf):
    leaves = LEAVES | {f"layers/attention/key/{leaf}": None}
    with pytest.raises(InputError) as error:
        low_rank_targets("lora", "query|key", leaves)
    assert error.value.problems == ("layers/attention/key",)
    assert "lora cannot be added: these layers have a low-rank update already" in str(error.value)
    assert low_rank_targets("lora", "query|value", leaves)

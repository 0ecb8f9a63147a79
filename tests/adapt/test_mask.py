"""Masks from rules."""

import pytest

from fsl_jax.adapt.mask import mask_from_rules
from fsl_jax.adapt.tree import flatten
from fsl_jax.errors import InputError


def test_a_leaf_that_no_rule_names_is_frozen(bert):
    mask = flatten(mask_from_rules(bert.params, ["attention/query/bias$", "^pooler/"]))
    assert [path for path, chosen in mask.items() if chosen] == [
        "layers/attention/query/bias",
        "pooler/bias",
        "pooler/kernel",
    ]
    assert mask.keys() == flatten(bert.params).keys()


def test_rules_that_match_nothing_are_named_with_the_paths_they_were_tried_on(llama):
    with pytest.raises(InputError) as error:
        mask_from_rules(llama.params, ["/kernel$", "/bias$", "querry"])
    message = str(error.value)
    assert "no parameter matches '/bias$' or 'querry'" in message
    assert "'/kernel$'" not in message
    assert all(path in message for path in flatten(llama.params))

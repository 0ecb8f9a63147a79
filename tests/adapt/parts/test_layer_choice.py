"""The layers that a setting names."""

import numpy as np
import pytest

from fsl_jax.adapt.parts.layer_choice import chosen_layers, require_layers
from fsl_jax.errors import InputError


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("all", [0, 1, 2, 3, 4, 5]),
        ("first 2", [0, 1]),
        ("last 2", [4, 5]),
        ("last 6", [0, 1, 2, 3, 4, 5]),
        ("3", [3]),
        ("0,2-4", [0, 2, 3, 4]),
        ("5, 0", [0, 5]),
    ],
)
def test_the_forms_of_the_setting(text, numbers):
    require_layers("lora's layers", text)
    np.testing.assert_array_equal(np.flatnonzero(chosen_layers("lora's layers", text, 6)), numbers)


@pytest.mark.parametrize(
    "text", ["", "some", "last", "last 0", "-1", "1-", "1;2", "first -2", "9" * 5000]
)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(InputError, match=r"(?s)lora's layers .* (cannot be read|left out)"):
        require_layers("lora's layers", text)


@pytest.mark.parametrize(("text", "span"), [("3-1", "3-1"), ("0,5-3, 2", "5-3")])
def test_a_span_that_ends_before_it_begins_is_refused(text, span):
    with pytest.raises(InputError, match=f"'{text}' has {span}, which is no layer"):
        require_layers("lora's layers", text)


@pytest.mark.parametrize(
    "text", ["6", "4-6", "last 7", "first 7", "0-99999999999", "last 9999999999"]
)
def test_layers_that_are_not_there_are_refused(text):
    with pytest.raises(InputError, match=f"'{text}' are none of 6 layers, numbered from 0"):
        chosen_layers("lora's layers", text, 6)

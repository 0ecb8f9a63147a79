import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.config_reader import ConfigReader


def test_fields_are_read_with_their_defaults():
    fields = ConfigReader("config", {"size": np.uint32(3), "rate": 1, "empty": None, "none": 0})
    assert fields.integer("size") == 3
    assert fields.number("rate") == 1.0
    assert fields.integer("absent", 7) == 7
    assert fields.count("none") == 0
    assert fields.number("empty", 0.5) == 0.5
    fields.expect("absent", "usual")
    fields.finish()


def test_all_faults_are_told_at_once():
    fields = ConfigReader(
        "config.json", {"size": 0, "rate": "much", "kind": "odd", "flag": True, "below": -1}
    )
    fields.integer("size")
    fields.integer("absent")
    fields.integer("flag")
    fields.number("rate")
    fields.count("below")
    fields.expect("kind", "usual", "other")
    with pytest.raises(InputError) as error:
        fields.finish()
    assert str(error.value).splitlines()[1:] == [
        "  - size is 0; expected a whole number above 0",
        "  - absent is missing; expected a whole number above 0",
        "  - flag is True; expected a whole number above 0",
        "  - rate is 'much'; expected a number above 0",
        "  - below is -1; expected a whole number, 0 or more",
        "  - kind is 'odd'; expected 'usual' or 'other'",
    ]


def test_a_field_that_is_null_is_not_one_that_is_absent():
    fields = ConfigReader("config.json", {"window": None, "cap": None, "size": 3, "rate": 0.5})
    assert fields.optional_integer("window", 4096) is fields.optional_number("cap", 30.0) is None
    assert (fields.optional_integer("gone", 4096), fields.optional_number("gone", 30.0)) == (
        4096,
        30,
    )
    assert (fields.optional_integer("size"), fields.optional_number("rate")) == (3, 0.5)
    fields.finish()


def test_a_flag_is_true_or_false():
    fields = ConfigReader("config.json", {"tied": True, "kept": None, "odd": 1})
    assert fields.flag("tied", False)
    assert fields.flag("kept", True)
    assert fields.flag("odd", False)
    with pytest.raises(InputError, match="odd is 1; expected true or false"):
        fields.finish()

"""The metadata of fields that flags set."""

import dataclasses

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.flag_field import flag_field, flag_of, require_choices, same_flag


@dataclasses.dataclass(frozen=True)
class Original:
    colour: str = flag_field("The colour.", "red", choices=("red", "blue"), kind="colour of ink")


@dataclasses.dataclass(frozen=True)
class Copy:
    colour: str = same_flag(Original, "colour")


@dataclasses.dataclass(frozen=True)
class Required:
    colour: str = same_flag(Original, "colour", required=True)


def test_a_shared_flag_has_the_same_default_choices_and_help():
    flags = [flag_of(dataclasses.fields(dataclass)[0]) for dataclass in (Original, Copy)]
    assert Copy() == Copy("red")
    assert flags[1] == dataclasses.replace(flags[0], kind="")


def test_a_shared_flag_may_be_required():
    with pytest.raises(TypeError, match="colour"):
        Required()
    assert flag_of(dataclasses.fields(Required)[0]).help == "The colour."


def test_a_value_that_is_no_choice_is_refused_by_its_kind():
    require_choices(Original("blue"))
    with pytest.raises(InputError, match=r"unknown colour of ink 'bleu'\. Did you mean 'blue'"):
        require_choices(Original("bleu"))

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.scoped_list import parse_scoped_list, split


def test_commas_and_colons_in_parentheses_belong_to_the_entry():
    assert split("a(b,c),d", ",") == ["a(b,c)", "d"]
    assert split("model:lora(targets='a:b')", ":") == ["model", "lora(targets='a:b')"]
    assert split("""a(text='fine :)'),b(text="don't (")""", ",") == [
        "a(text='fine :)')",
        """b(text="don't (")""",
    ]


def test_the_most_specific_entries_apply():
    steps = parse_scoped_list("100, small:40, lora:200, small:lora:7", int, "steps")
    assert steps.values_for("large", "bitfit") == (100,)
    assert steps.values_for("small", "bitfit") == (40,)
    assert steps.values_for("large", "lora") == (200,)
    assert steps.values_for("small", "lora") == (7,)


def test_entries_of_one_kind_are_a_list():
    rates = parse_scoped_list("1e-3,lora:1e-4,lora:3e-4", float, "learning_rates")
    assert rates.values_for("any", "lora(rank=2)", "lora") == (1e-4, 3e-4)
    assert rates.values_for("any", "full") == (1e-3,)
    assert rates.scope_names() == {"lora"}


def test_nothing_applies_where_nothing_was_said():
    assert parse_scoped_list("lora:1", int, "steps").values_for("model", "full") == ()


@pytest.mark.parametrize("text", ["", "1,,2", "ten", "lora:"])
def test_what_cannot_be_read_names_the_flag(text):
    with pytest.raises(InputError, match="--steps"):
        parse_scoped_list(text, int, "steps")

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.scoped_flags import ScopedFlags, read_scoped_flags
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.written_method import WrittenMethod

LORA, ICL = WrittenMethod.parse("lora"), WrittenMethod.parse("icl")


def flags(**changes) -> ScopedFlags:
    given = {"models": ("small", "large"), "dataset": "data", "methods": "lora,small:icl"}
    return read_scoped_flags(StudyConfig(**given | changes))


def test_methods_of_a_model_are_those_of_all_and_its_own():
    read = flags(methods="lora,small:icl,small:lora")
    assert read.methods_for("small") == (LORA, ICL)
    assert read.methods_for("large") == (LORA,)


def test_learning_rates_are_the_methods_own_where_none_are_named():
    assert flags().learning_rates_for("small", LORA) == LORA.method.learning_rates
    assert flags(learning_rates="large:0.1").learning_rates_for("large", LORA) == (0.1,)
    assert flags(learning_rates="large:0.1").learning_rates_for("small", LORA) == (
        LORA.method.learning_rates
    )


def test_steps_and_batch_size_are_one_number():
    read = flags(steps="9,large:5", batch_size="4")
    assert (read.steps_for("small", LORA), read.steps_for("large", LORA)) == (9, 5)
    assert read.batch_size_for("small", LORA) == 4


@pytest.mark.parametrize(("steps", "found"), [("2,3", "2, 3"), ("icl:3", "none")])
def test_other_numbers_of_steps_are_an_error(steps, found):
    read = flags(steps=steps)
    with pytest.raises(InputError, match=f"--steps: .* lora with small, found {found}"):
        read.steps_for("small", LORA)


@pytest.mark.parametrize("name", ["steps", "batch_size", "learning_rates", "methods"])
def test_a_scope_that_the_study_does_not_have_is_an_error(name):
    with pytest.raises(InputError, match=r"before a colon 'smal'\. Did you mean 'small'"):
        flags(**{name: "lora,smal:icl" if name == "methods" else "1,smal:2"})


def test_a_model_without_a_method_is_an_error():
    with pytest.raises(InputError, match="large"):
        flags(methods="small:lora")


@pytest.mark.parametrize(
    "again", ["lora()", "lora(8)", "lora( rank = 8 , alpha=16)", "small:lora()"]
)
def test_a_method_in_two_spellings_is_an_error(again):
    with pytest.raises(InputError, match=r"(?s)the same method twice.*lora and lora"):
        flags(methods=f"lora,{again}")


def test_a_method_for_different_models_is_not_twice():
    read = flags(methods="small:lora,large:lora()")
    assert [len(read.methods_for(model)) for model in ("small", "large")] == [1, 1]


@pytest.mark.parametrize("rates", ["1e-3,0.001", "0.1,0.10000000001", "lora:1e-3,lora():1e-3"])
def test_a_learning_rate_in_two_spellings_is_an_error(rates):
    read = flags(methods="lora()", learning_rates=rates)
    with pytest.raises(InputError, match="the same number twice for lora"):
        read.learning_rates_for("small", WrittenMethod.parse("lora()"))

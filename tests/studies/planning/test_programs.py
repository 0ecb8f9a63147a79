import dataclasses

from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.written_method import WrittenMethod

LORA, ICL = WrittenMethod.parse("lora(2)"), WrittenMethod.parse("icl")


def program(written=LORA, number=0, runs=6) -> PlannedProgram:
    planned = tuple(PlannedRun(written, seed, None) for seed in range(runs))
    return PlannedProgram(number, "small-lora", "small", "auto", 9, 2, planned)


def test_groups_cover_the_runs_in_order():
    sized = dataclasses.replace(program(), size=4)
    assert [list(group) for group in sized.groups] == [[0, 1, 2, 3], [4, 5]]


def test_the_name_has_two_digits_or_more():
    assert program(number=7).name == "07-small-lora"
    assert program(number=123).name == "123-small-lora"


def test_a_program_trains_if_its_method_does():
    assert program().trains
    assert not program(ICL).trains


def test_a_run_has_the_method_and_its_text():
    run = program().runs[0]
    assert (run.method, run.method_text) == (LORA.method, "lora(2)")

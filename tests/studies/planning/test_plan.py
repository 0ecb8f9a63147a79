import dataclasses
import json

import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.plan import describe, plan_programs, read_programs, require_same
from fsl_jax.studies.planning.study_config import StudyConfig


def study_config(**changes) -> StudyConfig:
    given = {"models": ("small",), "dataset": "data", "methods": "lora", "seeds": (1, 2)}
    return StudyConfig(**given | {"learning_rates": "1e-3,1e-2"} | changes)


def test_every_seed_and_learning_rate_is_a_run():
    (program,) = plan_programs(study_config())
    assert [(run.seed, run.learning_rate) for run in program.runs] == [
        (1, 1e-3),
        (1, 1e-2),
        (2, 1e-3),
        (2, 1e-2),
    ]
    assert (program.steps, program.batch_size, program.formulation) == (100, 8, "auto")


def test_a_method_without_rates_has_those_of_its_own():
    (program,) = plan_programs(study_config(learning_rates="", seeds=(1,)))
    assert [run.learning_rate for run in program.runs] == [1e-4, 5e-4, 2e-3]


def test_ranks_share_a_program_and_targets_do_not():
    methods = "lora(rank=2),lora(rank=4),lora(targets='mlp')"
    first, second = plan_programs(study_config(methods=methods))
    assert {run.method for run in first.runs} == {"lora(rank=2)", "lora(rank=4)"}
    assert {run.method for run in second.runs} == {"lora(targets='mlp')"}


def test_joined_methods_share_a_program_where_their_parts_do():
    methods = "lora(rank=2)+adapter(size=4),lora+adapter,adapter+lora"
    first, second = plan_programs(study_config(methods=methods, steps="9,lora+adapter:5"))
    assert [program.name for program in (first, second)] == [
        "00-small-lora+adapter",
        "01-small-adapter+lora",
    ]
    assert {run.method for run in first.runs} == {"lora(rank=2)+adapter(size=4)", "lora+adapter"}
    assert (first.steps, second.steps) == (5, 9)


def test_other_steps_or_models_are_other_programs():
    programs = plan_programs(
        study_config(
            models=("small", "large"), methods="lora,bitfit,large:full", steps="9,bitfit:5"
        )
    )
    found = [(program.model, program.runs[0].method, program.steps) for program in programs]
    assert found == [
        ("small", "lora", 9),
        ("small", "bitfit", 5),
        ("large", "lora", 9),
        ("large", "bitfit", 5),
        ("large", "full", 9),
    ]
    assert len({program.name for program in programs}) == 5


def test_prompted_methods_have_no_rates_and_a_probe_has_a_head():
    zero, probe = plan_programs(study_config(methods="zero_shot,linear_probe"))
    assert zero.prompted
    assert [run.learning_rate for run in zero.runs] == [None, None]
    assert not probe.prompted
    assert probe.formulation == "head"


def test_groups_cover_the_runs_in_order():
    (program,) = plan_programs(study_config(seeds=(1, 2, 3)))
    sized = dataclasses.replace(program, size=4)
    assert [list(group) for group in sized.groups] == [[0, 1, 2, 3], [4, 5]]


def test_a_plan_survives_its_file():
    asked = study_config(methods="lora,zero_shot")
    programs = plan_programs(asked)
    plan = describe(asked, {"devices": 1}, {"sha256": "0"}, programs)
    assert read_programs(json.loads(json.dumps(plan))) == programs


def test_all_differences_to_what_is_there_are_listed():
    there = describe(study_config(), {"devices": 1}, {"sha256": "0"}, [])
    here = describe(study_config(shots=2, dropout=0.1), {"devices": 2}, {"sha256": "0"}, [])
    with pytest.raises(InputError) as refused:
        require_same(there, here, epath.Path("out"))
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    assert "question.shots: there 16, here 2" in str(refused.value)
    assert "environment.devices: there 1, here 2" in str(refused.value)
    require_same(there, there, epath.Path("out"))


def test_a_model_without_a_method_is_an_error():
    with pytest.raises(InputError, match="large"):
        plan_programs(study_config(models=("small", "large"), methods="small:lora"))

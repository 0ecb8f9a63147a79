import dataclasses
import json

import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.plan_file import (
    describe_data,
    describe_plan,
    describe_programs,
    read_plan,
    read_programs,
    require_same_study,
)
from fsl_jax.studies.planning.study_config import StudyConfig


def study_config(**changes) -> StudyConfig:
    given = {"models": ("small",), "dataset": "data", "methods": "lora", "seeds": (1, 2)}
    return StudyConfig(**given | {"learning_rates": "1e-3,1e-2"} | changes)


def test_a_plan_survives_its_file():
    asked = study_config(methods="lora,zero_shot")
    programs = plan_programs(asked)
    plan = {"programs": describe_programs(programs)}
    assert read_programs(json.loads(json.dumps(plan))) == programs


def test_a_program_is_written_with_the_text_of_its_methods():
    (program,) = plan_programs(study_config(methods="lora( 2 )", seeds=(1,)))
    sized = dataclasses.replace(program, size=1, steps_per_dispatch=10, tokens=32, memory=99)
    (described,) = describe_programs([sized])
    assert list(described.items()) == [
        ("name", "00-small-lora"),
        ("model", "small"),
        ("formulation", "auto"),
        ("steps", 100),
        ("batch_size", 8),
        (
            "runs",
            [
                {"method": "lora( 2 )", "seed": 1, "learning_rate": 1e-3},
                {"method": "lora( 2 )", "seed": 1, "learning_rate": 1e-2},
            ],
        ),
        ("size", 1),
        ("steps_per_dispatch", 10),
        ("tokens", 32),
        ("memory", 99),
    ]


def test_all_differences_to_what_is_there_are_listed():
    there = describe_plan(study_config(), {"devices": 1}, {"sha256": "0"})
    here = describe_plan(study_config(shots=2, dropout=0.1), {"devices": 2}, {"sha256": "0"})
    with pytest.raises(InputError) as refused:
        require_same_study(there, here, epath.Path("out"))
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    assert "question.shots: there 16, here 2" in str(refused.value)
    assert "environment.devices: there 1, here 2" in str(refused.value)
    require_same_study(there, there, epath.Path("out"))


def test_a_directory_without_a_plan_may_not_hold_results(tmp_path):
    directory = epath.Path(tmp_path)
    assert read_plan(directory / "new") is None
    (tmp_path / "results.jsonl").touch()
    with pytest.raises(InputError, match="results without a plan"):
        read_plan(directory)
    (tmp_path / "plan.json").write_text('{"programs": []}')
    assert read_plan(directory) == {"programs": []}


def test_data_is_described_by_its_hash_and_sizes(tiny_dataset):
    described = describe_data(tiny_dataset)
    assert described["sha256"] == tiny_dataset.sha256
    assert described["test"] == len(tiny_dataset.test)
    assert json.loads(json.dumps(described)) == described

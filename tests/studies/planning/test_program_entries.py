import dataclasses
import json

from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.program_entries import describe_programs, read_programs
from fsl_jax.studies.planning.study_config import StudyConfig


def study_config(**changes) -> StudyConfig:
    given = {"models": ("small",), "dataset": "data", "methods": "lora", "seeds": (1, 2)}
    return StudyConfig(**given | {"learning_rates": "1e-3,1e-2"} | changes)


def test_programs_survive_json():
    programs = plan_programs(study_config(methods="lora,zero_shot"))
    assert read_programs(json.loads(json.dumps(describe_programs(programs)))) == programs


def test_a_program_is_written_with_the_text_of_its_methods():
    (program,) = plan_programs(study_config(methods="lora( 2 )", seeds=(1,)))
    sized = dataclasses.replace(
        program, size=1, steps_per_dispatch=10, tokens=32, row_length=16, padding=0.25, memory=99
    )
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
        ("row_length", 16),
        ("padding", 0.25),
        ("memory", 99),
    ]

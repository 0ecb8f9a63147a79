import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.plan_file import describe_plan
from fsl_jax.studies.planning.same_study import as_begun, require_same_study
from fsl_jax.studies.planning.study_config import StudyConfig

OUT = epath.Path("out")


def plan(environment=None, data="0", **changes):
    config = StudyConfig(**{"models": ("small",), "dataset": "data"} | changes)
    described = {"name": config.dataset, "sha256": data}
    return describe_plan(config, environment or {"devices": 1}, described) | {"format": 2}


def asked(**changes):
    described = plan(**changes)
    del described["format"]
    return described


def test_all_differences_to_what_is_there_are_listed():
    there, here = plan(), asked(environment={"devices": 2}, shots=2, dropout=0.1)
    with pytest.raises(InputError) as refused:
        require_same_study(there, here, OUT)
    lines = str(refused.value).splitlines()
    assert len(lines) == 4
    assert "question.shots: there 16, here 2" in str(refused.value)
    assert "environment.devices: there 1, here 2" in str(refused.value)
    require_same_study(there, asked(), OUT)


def test_the_same_data_under_another_path_are_the_same_study():
    moved = asked(dataset="elsewhere", columns="text:body")
    require_same_study(plan(), moved, OUT)
    config = StudyConfig(models=("small",), dataset="elsewhere", columns="text:body")
    assert as_begun(config, plan()) == StudyConfig(models=("small",), dataset="data")


def test_other_data_under_the_same_path_are_another_study():
    with pytest.raises(InputError, match=r'data\.sha256: there "0", here "1"'):
        require_same_study(plan(), asked(data="1"), OUT)
    with pytest.raises(InputError, match=r'question\.dataset: there "data", here "other"'):
        require_same_study(plan(), asked(dataset="other", data="1"), OUT)


def test_flags_that_came_later_do_not_count_for_a_plan_of_the_first_version():
    first = asked() | {"programs": []}
    del first["question"]["patience"]
    require_same_study(first, asked(), OUT)
    with pytest.raises(InputError, match=r"question\.shots"):
        require_same_study(first, asked(shots=2), OUT)

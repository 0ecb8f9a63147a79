import json

import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.sealed_json import encode_sealed
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.plan_file import (
    FORMAT,
    decode_plan,
    describe_data,
    describe_plan,
    is_current,
    read_plan,
    version_error,
    write_plan,
)
from fsl_jax.studies.planning.program_entries import describe_programs, read_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from tests.plugins.fuzzing import read_damaged

CONFIG = StudyConfig(models=("small",), dataset="data", methods="lora,zero_shot", seeds=(1, 2))
IDENTITY = describe_plan(CONFIG, {"versions": {"fsl_jax": "0.1.0"}}, {"sha256": "0"})
MODELS = {"small": {"the weights": "1" * 64}}
FIRST = IDENTITY | {"programs": describe_programs(plan_programs(CONFIG))}
"""A plan as the first version wrote it."""


@pytest.fixture
def directory(tmp_path):
    write_plan(epath.Path(tmp_path), IDENTITY, MODELS, plan_programs(CONFIG))
    return epath.Path(tmp_path)


def test_a_plan_survives_its_file(directory):
    plan = read_plan(directory)
    assert is_current(plan)
    assert IDENTITY.items() <= plan.items()
    assert plan["models"] == MODELS
    assert read_programs(plan["programs"]) == plan_programs(CONFIG)


@pytest.mark.parametrize("name", ["results.jsonl", "timings.jsonl", "programs/00-a.jsonl"])
def test_a_directory_without_a_plan_may_not_hold_results(tmp_path, name):
    directory = epath.Path(tmp_path)
    assert read_plan(directory / "new") is None
    (tmp_path / "flags.txt").touch()
    assert read_plan(directory) is None
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="results without a plan"):
        read_plan(directory)


def test_data_is_described_by_its_hash_and_sizes(tiny_dataset):
    described = describe_data(tiny_dataset)
    assert described["sha256"] == tiny_dataset.sha256
    assert described["test"] == len(tiny_dataset.test)
    assert json.loads(json.dumps(described)) == described


def test_a_plan_of_the_first_version_is_read_and_its_version_named(tmp_path):
    (tmp_path / "plan.json").write_text(json.dumps(FIRST, indent=2))
    plan = read_plan(epath.Path(tmp_path))
    assert plan == FIRST
    assert not is_current(plan)
    message = str(version_error(epath.Path("out"), plan))
    assert "another version of fsl_jax began: 0.1.0, whose files have format 1" in message
    assert "Finish the study with that version, or give another --output" in message


def test_a_plan_of_a_later_version_is_refused_by_its_version(tmp_path):
    later = {"format": FORMAT + 1, **FIRST, "models": MODELS}
    later["environment"] = {"versions": {"fsl_jax": "9.0"}}
    (tmp_path / "plan.json").write_bytes(encode_sealed(later))
    with pytest.raises(InputError, match=r"began: 9\.0, whose files have format 5"):
        read_plan(epath.Path(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"programs": 1}, "programs: expected a list"),
        ({"programs": [1]}, "programs: expected an object"),
        ({"programs": [{}]}, "name: missing"),
        ({"programs": [FIRST["programs"][0] | {"name": "../x"}]}, "not a number with a title"),
        ({"programs": [FIRST["programs"][0] | {"runs": []}]}, "has no runs"),
        ({"question": []}, "question: expected an object"),
        ({"models": {}}, "no seal"),
    ],
)
def test_values_of_another_kind_are_refused(change, message):
    with pytest.raises(InputError, match=rf"plan\.json: .*{message}"):
        decode_plan(json.dumps(FIRST | change).encode(), "plan.json")


def test_a_plan_that_lost_its_seal_is_refused():
    values = {"format": FORMAT, **FIRST, "models": MODELS}
    with pytest.raises(InputError, match=r"no seal.*another --output"):
        decode_plan(json.dumps(values).encode(), "plan.json")


def decode(data):
    return decode_plan(data, "plan.json")


@pytest.fixture
def seeds(directory):
    return [(directory / "plan.json").read_bytes(), json.dumps(FIRST).encode()]


def test_damaged_files_are_refused(seeds):
    read_damaged(decode, seeds)


@pytest.mark.soak
def test_many_damaged_files_are_refused(seeds):
    read_damaged(decode, seeds, cases=20_000)

"""Each selected run has a directory of its own."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.outputs.names import directory_name
from fsl_jax.studies.planning import directories
from fsl_jax.studies.planning.directories import adapter_directory, require_distinct_directories
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.programs import PlannedRun
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.written_method import WrittenMethod

PROMPTS = (
    "prompt_tuning(length=3,start='text',text='hello world?')",
    "prompt_tuning(length=3,start='text',text='hello world!')",
)


def run_of(method: str, seed: int = 13) -> PlannedRun:
    return PlannedRun(WrittenMethod.parse(method), seed, 1e-3)


def study_of(models=("small",), methods="lora") -> StudyConfig:
    return StudyConfig(models=models, dataset="data", methods=methods, seeds=(1, 2))


def adapters(config: StudyConfig) -> list[tuple[tuple[str, str, int], str]]:
    """Return what is selected once, and its directory, for each run."""
    return [
        ((program.model, run.method_text, run.seed), adapter_directory(program.model, run))
        for program in plan_programs(config)
        for run in program.runs
    ]


def test_plain_names_are_the_directories():
    assert adapter_directory("minilm-l6", run_of("lora")) == "adapters/minilm-l6/lora/seed_13"
    joined = adapter_directory("/models/bert/", run_of("lora(rank=4)+bitfit", 7))
    model, method = (directory_name(text) for text in ("/models/bert/", "lora(rank=4)+bitfit"))
    assert joined == f"adapters/{model}/{method}/seed_7"
    assert model.startswith("models_bert-")
    assert method.startswith("lora_rank=4_+bitfit-")


@pytest.mark.parametrize(
    "config",
    [
        study_of(methods=",".join(PROMPTS)),
        study_of(models=("run/1", "run_1", "Run_1", "run/1/", "./run/1")),
        study_of(models=("m" * 300, "m" * 301, "é" * 200)),
        study_of(methods="lora,lora(rank=4),lora(rank = 2)"),
    ],
)
def test_runs_that_are_selected_separately_have_separate_directories(config):
    owners = {}
    for owner, directory in adapters(config):
        assert owners.setdefault(directory, owner) == owner
        assert all(len(part.encode()) <= 80 for part in directory.split("/"))


def test_names_of_programs_are_short_and_stay_in_their_directory():
    models = ("m" * 300, "a/" + "é" * 90, "x/..", "a\nb", "con", "small")
    names = [program.name for program in plan_programs(study_of(models=models))]
    assert len(set(names)) == len(models)
    assert names[-1] == "05-small-lora"
    for name in names:
        assert len(f"{name}.jsonl".encode()) <= 80
        assert "/" not in name
        assert "\n" not in name


def test_a_shared_directory_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr(directories, "directory_name", lambda text: text[:4])
    with pytest.raises(InputError, match="two adapters would be in the same directory") as refused:
        plan_programs(study_of(models=("small", "smallest", "SMALL")))
    assert refused.value.problems == (
        "adapters/smal/lora/seed_1: of small with lora, and smallest with lora",
        "adapters/smal/lora/seed_2: of small with lora, and smallest with lora",
        "adapters/SMAL/lora/seed_1: of small with lora, and SMALL with lora",
        "adapters/SMAL/lora/seed_2: of small with lora, and SMALL with lora",
    )


def test_runs_of_which_one_is_selected_share_a_directory():
    require_distinct_directories(plan_programs(study_of()))

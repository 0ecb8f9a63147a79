"""The study as a user runs it: from a command to files, stopped and gone on with, and refused."""

import itertools
import json
import os
import pathlib
import random
import re
import resource
import signal
import subprocess
import time

import pytest
from warm_scripts import WarmScript, finish

from fsl_jax.errors import InputError
from fsl_jax.outputs.lock import hold_directory
from fsl_jax.studies.forecasting.dry_run import dry_run
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.study import run_study

RESULTS = "results.jsonl"


@pytest.fixture(scope="module")
def study_flags(bert_directory, llama_directory, data_directory) -> list[str]:
    """A study with all kinds of programs that takes seconds."""
    bert, llama = str(bert_directory), str(llama_directory)
    methods = (
        f"{bert}:linear_probe,{bert}:lora(rank=2),{bert}:lora(rank=4),"
        f"{llama}:zero_shot,{llama}:icl,{llama}:lora"
    )
    return [
        f"--models={bert},{llama}",
        f"--dataset={data_directory}",
        f"--methods={methods}",
        "--shots=4",
        "--seeds=1,2",
        "--learning_rates=3e-3,3e-2",
        "--steps=12",
        "--evaluate_every=4",
        "--batch_size=6",
        "--max_test=20",
        "--checkpoint_seconds=0",
    ]


@pytest.fixture(scope="module")
def finished_study(study_flags, run_cold, tmp_path_factory):
    output = tmp_path_factory.mktemp("study") / "out"
    status, out, err = run_cold("study", *study_flags, f"--output={output}")
    assert status == 0, err
    return output, out, err


def test_study_writes_what_it_promises(finished_study):
    output, out, _ = finished_study
    for name in (
        "summary.json",
        RESULTS,
        "report.md",
        "results_by_method.png",
        "validation_curves.png",
        "plan.json",
        "timings.jsonl",
        "flags.txt",
    ):
        assert (output / name).stat().st_size > 0, name
    assert list(output.glob("events/**/events.out.tfevents*"))
    assert "linear_probe" in out
    assert "report.md" in out


def test_summary_has_one_row_a_method_and_one_value_a_seed(finished_study):
    summary = json.loads((finished_study[0] / "summary.json").read_text())
    methods = sorted(row["method"] for row in summary["rows"])
    expected = ["icl", "linear_probe", "lora", "lora(rank=2)", "lora(rank=4)"]
    assert methods == [*expected, "zero_shot"]
    for row in summary["rows"]:
        assert len(row["runs"]) == 2
        assert row["mean"] == pytest.approx(sum(row["runs"]) / 2, abs=1e-6)
        assert set(row["seconds"]) == {"compile", "train", "evaluate"}


def test_training_learns_what_random_features_allow(finished_study):
    """The classes have words of their own, so even a probe on a random encoder beats chance."""
    summary = json.loads((finished_study[0] / "summary.json").read_text())
    means = {row["method"]: row["mean"] for row in summary["rows"]}
    assert max(means["lora(rank=4)"], means["linear_probe"]) > 0.5


def test_only_selected_runs_see_the_test_set(finished_study):
    records = [json.loads(line) for line in (finished_study[0] / RESULTS).read_text().splitlines()]
    key = lambda record: (record["model"], record["method"], record["seed"])  # noqa: E731
    for _, group in itertools.groupby(sorted(records, key=key), key=key):
        runs = list(group)
        assert sum(run["selected"] for run in runs) == 1
        for run in runs:
            assert (run["test"] is not None) == run["selected"]
        if runs[0]["learning_rate"] is not None:
            assert len(runs) == 2
            best = max(run["validation"] for run in runs)
            assert next(run for run in runs if run["selected"])["validation"] == best


def test_ranks_of_one_method_share_a_program(finished_study):
    programs = json.loads((finished_study[0] / "plan.json").read_text())["programs"]
    shared = [{run["method"] for run in program["runs"]} for program in programs]
    assert {"lora(rank=2)", "lora(rank=4)"} in shared


def test_selected_adapters_are_saved(finished_study):
    output, *_ = finished_study
    records = [json.loads(line) for line in (output / RESULTS).read_text().splitlines()]
    adapters = [record["adapter"] for record in records if record["adapter"]]
    assert len(adapters) == len(set(adapters)) == 8
    for adapter in adapters:
        assert (output / adapter / "adapter_model.safetensors").exists()


def test_saved_adapter_evaluates_to_the_accuracy_of_the_study(
    finished_study, run_to_end, data_directory, tmp_path
):
    output, *_ = finished_study
    records = [json.loads(line) for line in (output / RESULTS).read_text().splitlines()]
    record = next(r for r in records if r["selected"] and r["method"] == "lora(rank=2)")
    status, _, err = run_to_end(
        "evaluate",
        f"--model={record['model']}",
        f"--adapter={output / record['adapter']}",
        f"--dataset={data_directory}",
        "--max_test=20",
        f"--output={tmp_path}",
    )
    assert status == 0, err
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert evaluation["scores"]["accuracy"] == pytest.approx(record["test"], abs=1e-6)


def test_finished_study_does_nothing(finished_study, study_flags, run_to_end):
    output, *_ = finished_study
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    status, out, err = run_to_end("study", *study_flags, f"--output={output}")
    assert status == 0, err
    assert "linear_probe" in out
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_other_flags_in_the_same_directory_are_refused(finished_study, study_flags, run_to_end):
    output, *_ = finished_study
    changed = [flag.replace("--shots=4", "--shots=5") for flag in study_flags]
    status, _, err = run_to_end("study", *changed, "--weight_decay=0.1", f"--output={output}")
    assert status == 2
    assert "question.shots: there 4, here 5" in err
    assert "question.weight_decay: there 0.0, here 0.1" in err
    assert "Traceback" not in err


def tiny_study(bert_directory, data_directory) -> StudyConfig:
    models, data = (str(bert_directory),), str(data_directory)
    return StudyConfig(models, data, "linear_probe", shots=2, steps="2", batch_size="2")


def test_a_directory_that_is_being_written_is_refused(bert_directory, data_directory, tmp_path):
    config, output = tiny_study(bert_directory, data_directory), tmp_path / "out"
    with hold_directory(output):
        with pytest.raises(InputError, match=rf"out is being written by process {os.getpid()} on"):
            run_study(config, output, RunOptions())
        assert "in all, counted from" in dry_run(config, output, RunOptions())


@pytest.mark.parametrize("part", ["", "adapters", "programs"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_compiled(
    part, bert_directory, data_directory, tmp_path, compilations
):
    output = tmp_path / "out"
    (output / part).parent.mkdir(exist_ok=True)
    (output / part).write_text("")
    config = tiny_study(bert_directory, data_directory)
    with compilations() as names, pytest.raises(InputError, match=r"it is a file|found a file"):
        run_study(config, output, RunOptions())
    assert names == []
    assert (output / part).read_text() == ""


def test_dry_run_writes_nothing(study_flags, run_to_end, tmp_path):
    output = tmp_path / "out"
    status, out, err = run_to_end("study", *study_flags, f"--output={output}", "--dry_run")
    assert status == 0, err
    assert not output.exists()
    assert "memory (GiB)" in out
    assert re.search(r"About \d+(\.\d)? (second|minute)s? in all", out)


def test_forecast_tells_seconds_of_each_program_and_writes_nothing(
    study_flags, run_to_end, finished_study, tmp_path
):
    output = tmp_path / "out"
    status, out, err = run_to_end("study", *study_flags, f"--output={output}", "--forecast")
    assert status == 0, err
    assert not output.exists()
    assert "in all. For each program, in seconds:" in err
    seconds = json.loads(out)
    programs = json.loads((finished_study[0] / "plan.json").read_text())["programs"]
    assert list(seconds) == [program["name"] for program in programs]
    assert min(seconds.values()) > 0


def test_neither_sigterm_nor_a_disk_that_fills_up_loses_anything(
    study_flags, run_script, run_to_end, finished_study, tmp_path
):
    """One study meets both, since most of the time of a study goes into what is done once."""
    output = tmp_path / "out"
    command = ("study", *study_flags, f"--output={output}")
    process = run_script(*command)
    wait_for_checkpoint(output, process)
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == 128 + signal.SIGTERM, err
    assert "Give the same command again to go on" in err

    process = run_script(*command)
    wait_for_checkpoint(output, process)
    # From now on no file may grow beyond this, which needs no disk that is really full.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1 << 10, 1 << 10))
    status, _, err = finish(process)
    assert status == 1, err
    assert "error: [Errno 27] File too large: " in err
    assert "what was written before is kept" in err
    assert "Traceback" not in err

    status, _, err = run_to_end(*command)
    assert status == 0, err
    assert (output / RESULTS).read_bytes() == (finished_study[0] / RESULTS).read_bytes()


def wait_for_checkpoint(output: pathlib.Path, process: subprocess.Popen) -> None:
    """Waits for a checkpoint that was not there before."""
    before = set(output.glob("checkpoints/*/*/step_*"))
    wait_for(lambda: set(output.glob("checkpoints/*/*/step_*")) - before, process)


def wait_for(condition, process: subprocess.Popen | WarmScript, seconds: float = 900.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.002)


def kill_until_finished(start, output: pathlib.Path, generator: random.Random, kills: int) -> int:
    """Kills a study at random moments, a third of them inside a save, then lets it finish."""
    done = 0
    for number in range(kills):
        process = start()
        if number % 3 == 0:
            wait_for(lambda: list(output.glob("checkpoints/*/*/.staging-*")), process)
        else:
            begun = time.monotonic()
            delay = generator.uniform(0.0, 4.0)
            wait_for(lambda: (output / "plan.json").exists(), process)
            wait_for(lambda: time.monotonic() - begun > delay, process)  # noqa: B023
        done += process.poll() is None
        process.kill()
        process.communicate()
    status, _, err = finish(start())
    assert status == 0, err
    return done


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_killed_study_gives_the_same_bytes(kills, study_flags, run_warm, finished_study, tmp_path):
    output = tmp_path / "out"
    start = lambda: run_warm("study", *study_flags, f"--output={output}")  # noqa: E731
    killed = kill_until_finished(start, output, random.Random(kills), kills)
    assert killed >= 1
    assert not list(output.glob(".*")), "a lock or a part of a file is left"
    assert (output / RESULTS).read_bytes() == (finished_study[0] / RESULTS).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": ("minilm-l7",)}, "minilm-l6"),
        ({"models": ()}, "--models"),
        ({"methods": "lorra"}, "'lora'"),
        ({"methods": "lora(rnk=2)"}, "'rank'"),
        ({"methods": "icl(shots=3)"}, "no settings"),
        ({"formulation": "heads"}, "'head'"),
        ({"dataset": "bbc_headline"}, "'bbc_headlines'"),
        ({"steps": "0"}, "steps = 0: expected a whole number, from 1"),
        ({"steps": "2,3"}, "--steps"),
        ({"learning_rates": "fast"}, "--learning_rates"),
        ({"learning_rates": "-1"}, "learning_rates = -1.0: expected a finite number, above 0"),
        ({"learning_rates": "lara:1e-3"}, "'lora'"),
        ({"seeds": (1, 1)}, "given twice"),
        ({"seeds": (-1,)}, "seeds = -1: expected a whole number, from 0"),
        ({"shots": 1000}, "too few examples"),
        ({"columns": "text:headline"}, "headline"),
        ({"template": "Topic:", "formulation": "template"}, "{text}"),
        ({"methods": "bitfit", "formulation": "template"}, "language model's logits"),
        ({"runs_axis": 64}, "64"),
    ],
)
def test_what_cannot_be_used_is_refused_with_help(
    change, message, bert_directory, data_directory, tmp_path
):
    given = {
        "models": (str(bert_directory),),
        "dataset": str(data_directory),
        "methods": "lora",
        "shots": 2,
        "steps": "2",
        "batch_size": "2",
    }
    output = tmp_path / "out"
    with pytest.raises(InputError, match=re.escape(message)):
        run_study(StudyConfig(**given | change), output, RunOptions())
    assert not output.exists()

"""One study by two processes of four devices each, beside the same by one process of eight."""

import json
import signal
import socket
import subprocess
import time

import numpy as np
import pytest

from fsl_jax.studies.forecasting.dry_run import dry_run
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.study import run_study

SECONDS = 900
"""A process that has not ended by then waits for another one that never comes."""


@pytest.fixture(scope="module")
def study_config(llama_directory, data_directory):
    """Runs in two places and weights in two halves: a program that trains and one that asks."""
    return StudyConfig(
        models=(str(llama_directory),),
        dataset=str(data_directory),
        methods="lora(rank=2),icl",
        shots=2,
        seeds=(1, 2),
        learning_rates="3e-3,3e-2",
        steps="8",
        evaluate_every=4,
        batch_size="6",
        max_test=20,
        runs_axis=4,
        model_axis=2,
    )


@pytest.fixture(scope="module")
def flags(study_config):
    return [
        f"--models={study_config.models[0]}",
        f"--dataset={study_config.dataset}",
        f"--methods={study_config.methods}",
        "--shots=2",
        "--seeds=1,2",
        f"--learning_rates={study_config.learning_rates}",
        "--steps=8",
        "--evaluate_every=4",
        "--batch_size=6",
        "--max_test=20",
        "--mesh_runs=4",
        "--mesh_model=2",
        "--checkpoint_seconds=0",
    ]


@pytest.fixture
def start_two(run_script):
    """Starts a script in two processes, which are killed should they outlive the test."""
    started = []

    def start(*flags: str) -> list[subprocess.Popen]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        shared = (*flags, "--distributed", f"--coordinator_address={address}", "--num_processes=2")
        for number in range(2):
            started.append(run_script("study", *shared, f"--process_id={number}", devices=4))
        return started[-2:]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    """The exit status of each process, and what it wrote."""
    ended = []
    for process in processes:
        out, err = process.communicate(timeout=SECONDS)
        ended.append((process.returncode, out, err))
    return ended


def wait_for(directory, pattern, processes):
    """Waits until a file is there; a process that ends before that is a failure."""
    limit = time.monotonic() + SECONDS
    while not any(directory.glob(pattern)):
        assert time.monotonic() < limit
        assert all(process.poll() is None for process in processes), finish(processes)
        time.sleep(0.05)


def numbers_apart(record):
    """A record without the losses of its curve, and these."""
    return record, [point.pop() for point in record["curve"]]


def test_two_processes_find_what_one_finds_though_they_were_stopped(
    study_config, flags, start_two, tmp_path
):
    output = tmp_path / "two"
    processes = start_two(*flags, f"--output={output}")
    wait_for(output, "checkpoints/*/*/step_*", processes)
    processes[1].send_signal(signal.SIGTERM)
    for status, _, err in finish(processes):
        assert status == 128 + signal.SIGTERM, err
        assert "it is saved" in err
    assert not (output / "report.md").exists()

    (first, table, err), (second, silent, _) = finish(start_two(*flags, f"--output={output}"))
    assert (first, second) == (0, 0), err
    assert "lora" in table
    assert "lora" not in silent

    # In this process, whose eight devices are laid out alike.
    alone = tmp_path / "one"
    run_study(study_config, alone, RunOptions(checkpoint_seconds=0.0))
    for name in ("report.md", "summary.json", "timings.jsonl", "plan.json", "flags.txt"):
        assert (output / name).stat().st_size > 0, name
    pairs = [
        [json.loads(line) for line in (each / "results.jsonl").read_text().splitlines()]
        for each in (output, alone)
    ]
    assert len(pairs[0]) == 6
    for one, other in zip(*pairs, strict=True):
        (one, losses), (other, expected) = numbers_apart(one), numbers_apart(other)
        assert one == other
        np.testing.assert_allclose(losses, expected, rtol=1e-4)


def test_dry_run_plans_for_a_mesh_and_writes_nothing(study_config, tmp_path):
    told = dry_run(study_config, tmp_path / "out", RunOptions())
    assert "-lora | 4 | 4 | 8 |" in told
    assert "-icl | 2 | 1 | - |" in told
    assert not (tmp_path / "out").exists()

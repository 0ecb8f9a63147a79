r"""Compare training in this project and in PyTorch with PEFT, in turns, in one process.

Example: `python -m benchmarks.study_vs_peft --repeats=10`

Prints each measurement when it is done, and in the end the table in `benchmarks/README.md`.
"""

import os
import subprocess
import sys
import tempfile
import time

# Two frameworks share a GPU here: neither may take all of its memory.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import torch
from absl import app, flags

from benchmarks.compile_clock import CompileClock
from benchmarks.measure import Row, alternate, machine, require_same_losses, table
from benchmarks.peer_training import PeerTraining
from benchmarks.project_training import ProjectTraining, initial_leaves
from benchmarks.workload import Workload, make_workload
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.models.loading import load
from fsl_jax.tasks import load_dataset

_PARTS = flags.DEFINE_list("parts", ["step", "cached", "start", "gpu"], "What is measured.")
_REPEATS = flags.DEFINE_integer("repeats", 10, "Turns of each measurement of a step.")
_RUN_REPEATS = flags.DEFINE_integer("run_repeats", 3, "Turns of each measurement of a whole run.")
_COMPILED = flags.DEFINE_bool(
    "torch_compile", False, "Whether the peer runs under torch.compile too."
)

STEPS = 100
STEP_SIZES = (("minilm-l6", 16, 128), ("smollm2-135m", 8, 128))
STEP_GOAL = 1.2
CACHED = ((LinearProbe(), 20.0), (TopLayers(2), 2.5))
START_GOALS = {"nothing cached": 30.0, "everything cached": 10.0}
GPU_RUNS = (1, 4, 20, 64)
GPU_TOKENS = (128, 32)
GPU_GOALS = {(20, 128): 20.0}
GPU_PEER_RUNS = 4
TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}


def peers(work: Workload, project: ProjectTraining) -> dict[str, PeerTraining]:
    """Prepare the forms of the peer that are measured, by name."""
    start = initial_leaves(project)
    forms = {"eager": PeerTraining(work, start)}
    if work.pretrained.config.is_decoder:
        forms["eager, logits of all tokens"] = PeerTraining(work, start, last_logits_only=False)
    if _COMPILED.value:
        forms["torch.compile"] = PeerTraining(work, start, compiled=True)
    return forms


def measure_steps() -> list[Row]:
    """Measure one LoRA run: seconds per step."""
    rows = []
    for model, batch_size, length in STEP_SIZES:
        work = _workload(model, LoRA(), batch_size, length)
        project = ProjectTraining(work)
        forms = peers(work, project)
        dispatched = work.fit_config.steps_per_dispatch

        def mean_step(peer: PeerTraining, dispatched: int = dispatched) -> float:
            return sum(peer.step() for _ in range(dispatched)) / dispatched

        sides = {"project": project.dispatch} | {
            name: lambda peer=peer: mean_step(peer) for name, peer in forms.items()
        }
        seconds = alternate(sides, _REPEATS.value)
        for peer in forms.values():
            require_same_losses(project.losses[0][:4], peer.losses, TOLERANCE["float32"])
        part_rows = _step_rows(work, seconds, project.compile_seconds)
        print(table(part_rows), flush=True)
        rows += part_rows
    return rows


def _step_rows(work: Workload, seconds: dict[str, list[float]], compiling: float) -> list[Row]:
    project = seconds.pop("project")
    note = f"a step; compiling took {compiling:.1f} s"
    return [
        Row(work.describe(), peer, project, peer_seconds, STEP_GOAL, note)
        for peer, peer_seconds in seconds.items()
    ]


def measure_cached() -> list[Row]:
    """Measure whole runs of the methods whose trunk is computed once."""
    rows = []
    for method, goal in CACHED:
        work = _workload("minilm-l6", method, 16, 128)
        project = ProjectTraining(work)
        compiling: list[float] = []

        def project_run(
            project: ProjectTraining = project, compiling: list[float] = compiling
        ) -> float:
            with CompileClock() as clock:
                seconds = project.run()
            compiling.append(clock.seconds)
            return seconds - clock.seconds

        def peer_run(work: Workload = work, project: ProjectTraining = project) -> float:
            peer = PeerTraining(work, initial_leaves(project))
            seconds = peer.run()
            require_same_losses(project.losses[0][:20], peer.losses, TOLERANCE["float32"])
            return seconds

        seconds = alternate(
            {"project": project_run, "eager": peer_run}, _RUN_REPEATS.value, warmup=0
        )
        whole = project.compile_seconds + max(compiling)
        note = f"{STEPS} steps with the trunk's computation; compiling takes {whole:.1f} s more"
        rows.append(Row(work.describe(), "eager", seconds["project"], seconds["eager"], goal, note))
        with_compiling = [each + whole for each in seconds["project"]]
        note = f"{STEPS} steps, compiling included"
        rows.append(Row(work.describe(), "eager", with_compiling, seconds["eager"], None, note))
    return rows


def measure_start() -> list[Row]:
    """Measure the time from the start of a process to its first finished step."""
    model, batch_size, length = STEP_SIZES[1]
    seconds: dict[str, list[float]] = {name: [] for name in START_GOALS}
    for _ in range(_RUN_REPEATS.value):
        with tempfile.TemporaryDirectory() as cache:
            for name in START_GOALS:
                seconds[name].append(_time_start(cache, model, batch_size, length))
    work = f"process start to the first step done, lora, {model}, {batch_size} × {length} tokens"
    return [
        Row(f"{work}, {name}", "", seconds[name], (), goal) for name, goal in START_GOALS.items()
    ]


def _time_start(cache: str, model: str, batch_size: int, length: int) -> float:
    command = [sys.executable, "-m", "benchmarks.first_step", model, str(batch_size), str(length)]
    start = time.time()
    done = subprocess.run(
        command, env=os.environ | {"FSL_JAX_CACHE": cache}, stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout.split()[-1]) - start


def measure_gpu() -> list[Row]:
    """Measure grids of LoRA runs in bfloat16, which the peer trains one after the other."""
    if jax.default_backend() != "gpu" or not torch.cuda.is_available():
        print("gpu: skipped, since JAX and PyTorch do not both see a GPU here", flush=True)
        return []
    rows = []
    for length in GPU_TOKENS:
        work = _workload("smollm2-135m", LoRA(), 8, length, jnp.bfloat16)
        for runs in GPU_RUNS:
            row = _gpu_row(work, runs, GPU_GOALS.get((runs, length)))
            print(table([row]), flush=True)
            rows.append(row)
    return rows


def _gpu_row(work: Workload, runs: int, goal: float | None) -> Row:
    compiling = []

    def grid() -> float:
        start = time.perf_counter()
        nonlocal project
        project = ProjectTraining(work, runs)
        project.run()
        compiling.append(project.compile_seconds)
        return time.perf_counter() - start

    def one_after_the_other() -> float:
        measured = min(runs, GPU_PEER_RUNS)
        seconds = 0.0
        for run in range(measured):
            start = initial_leaves(project, run)
            peer = PeerTraining(work, start, run, device="cuda", dtype=torch.bfloat16)
            seconds += peer.run()
            require_same_losses(project.losses[run][:4], peer.losses, TOLERANCE["bfloat16"])
        return seconds * runs / measured

    project: ProjectTraining
    sides = {"project": grid, "eager": one_after_the_other}
    seconds = alternate(sides, _RUN_REPEATS.value, warmup=0)
    note = f"{STEPS} steps each, with {compiling[0]:.1f} s of compiling"
    if runs > GPU_PEER_RUNS:
        note += (
            f"; the peer's seconds are those of {GPU_PEER_RUNS} runs times {runs}/{GPU_PEER_RUNS}"
        )
    work_text = f"{runs} runs of {work.describe()}, bfloat16"
    return Row(work_text, "eager", seconds["project"], seconds["eager"], goal, note)


def _workload(model: str, method, batch_size: int, length: int, dtype=jnp.float32) -> Workload:
    return make_workload(
        load(model, dtype=dtype),
        load_dataset("bbc_news"),
        method,
        batch_size=batch_size,
        length=length,
        steps=STEPS,
    )


MEASUREMENTS = {
    "step": measure_steps,
    "cached": measure_cached,
    "start": measure_start,
    "gpu": measure_gpu,
}


def main(arguments: list[str]) -> None:
    """Measure the parts one after the other."""
    unknown = set(_PARTS.value) - MEASUREMENTS.keys()
    if len(arguments) > 1 or unknown:
        raise app.UsageError(f"not known: {arguments[1:]} {unknown}; parts: {list(MEASUREMENTS)}")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows: list[Row] = []
    for part in _PARTS.value:
        part_rows = MEASUREMENTS[part]()
        print(table(part_rows) if part_rows else "", flush=True)
        rows += part_rows
    versions = f"JAX {jax.__version__}, PyTorch {torch.__version__}"
    print(f"\n{machine()}, {versions}, {jax.devices()[0].device_kind}\n\n{table(rows)}")


if __name__ == "__main__":
    app.run(main)

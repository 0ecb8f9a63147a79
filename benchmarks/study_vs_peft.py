r"""The same work in this project and in PyTorch with PEFT, in turns, in one invocation.

Example: `python -m benchmarks.study_vs_peft --repeats=10`

Prints what it measures as it goes on, and in the end the table that `benchmarks/README.md` holds.
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

from benchmarks.measure import Row, alternate, machine, require_same_losses, table
from benchmarks.ours import Ours, start_of
from benchmarks.peers import Peer
from benchmarks.work import Work, make_work
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.data.sources import load_dataset
from fsl_jax.models.loading import load

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


def peers(work: Work, ours: Ours) -> dict[str, Peer]:
    """The forms of the peer that are measured, by name."""
    start = start_of(ours)
    forms = {"eager": Peer(work, start)}
    if work.pretrained.config.is_decoder:
        forms["eager, logits of all tokens"] = Peer(work, start, last_logits_only=False)
    if _COMPILED.value:
        forms["torch.compile"] = Peer(work, start, compiled=True)
    return forms


def measure_steps() -> list[Row]:
    """One LoRA run: seconds per step."""
    rows = []
    for model, batch_size, length in STEP_SIZES:
        work = _work(model, LoRA(), batch_size, length)
        ours = Ours(work)
        forms = peers(work, ours)
        dispatched = work.fit_config.steps_per_dispatch

        def mean_step(peer: Peer, dispatched: int = dispatched) -> float:
            return sum(peer.step() for _ in range(dispatched)) / dispatched

        sides = {"ours": ours.dispatch} | {
            name: lambda peer=peer: mean_step(peer) for name, peer in forms.items()
        }
        seconds = alternate(sides, _REPEATS.value)
        for peer in forms.values():
            require_same_losses(ours.losses[0][:4], peer.losses, TOLERANCE["float32"])
        found = _step_rows(work, seconds, ours.compile_seconds)
        print(table(found), flush=True)
        rows += found
    return rows


def _step_rows(work: Work, seconds: dict[str, list[float]], compiling: float) -> list[Row]:
    ours = seconds.pop("ours")
    note = f"a step; compiling took {compiling:.1f} s"
    return [
        Row(work.describe(), peer, ours, theirs, STEP_GOAL, note)
        for peer, theirs in seconds.items()
    ]


def measure_cached() -> list[Row]:
    """Whole runs of the methods whose trunk is computed once."""
    rows = []
    for method, goal in CACHED:
        work = _work("minilm-l6", method, 16, 128)
        ours = Ours(work)
        compiling: list[float] = []

        def ours_run(ours: Ours = ours, compiling: list[float] = compiling) -> float:
            with CompileClock() as clock:
                seconds = ours.run()
            compiling.append(clock.seconds)
            return seconds - clock.seconds

        def peer_run(work: Work = work, ours: Ours = ours) -> float:
            peer = Peer(work, start_of(ours))
            seconds = peer.run()
            require_same_losses(ours.losses[0][:20], peer.losses, TOLERANCE["float32"])
            return seconds

        seconds = alternate({"ours": ours_run, "eager": peer_run}, _RUN_REPEATS.value, warmup=0)
        whole = ours.compile_seconds + max(compiling)
        note = f"{STEPS} steps with the trunk's computation; compiling takes {whole:.1f} s more"
        rows.append(Row(work.describe(), "eager", seconds["ours"], seconds["eager"], goal, note))
        with_compiling = [each + whole for each in seconds["ours"]]
        note = f"{STEPS} steps, compiling included"
        rows.append(Row(work.describe(), "eager", with_compiling, seconds["eager"], None, note))
    return rows


class CompileClock:
    """Adds up the seconds that tracing and compiling take while it is open."""

    def __enter__(self) -> "CompileClock":
        self.seconds = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)

    def _hear(self, event: str, seconds: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            self.seconds += seconds


def measure_start() -> list[Row]:
    """From the start of a process to its first finished step."""
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
    """Grids of LoRA runs in bfloat16: the peer one run after the other."""
    if jax.default_backend() != "gpu" or not torch.cuda.is_available():
        print("gpu: skipped, since JAX and PyTorch do not both see a GPU here", flush=True)
        return []
    rows = []
    for length in GPU_TOKENS:
        work = _work("smollm2-135m", LoRA(), 8, length, jnp.bfloat16)
        for runs in GPU_RUNS:
            row = _gpu_row(work, runs, GPU_GOALS.get((runs, length)))
            print(table([row]), flush=True)
            rows.append(row)
    return rows


def _gpu_row(work: Work, runs: int, goal: float | None) -> Row:
    compiling = []

    def grid() -> float:
        start = time.perf_counter()
        nonlocal ours
        ours = Ours(work, runs)
        ours.run()
        compiling.append(ours.compile_seconds)
        return time.perf_counter() - start

    def one_after_the_other() -> float:
        measured = min(runs, GPU_PEER_RUNS)
        seconds = 0.0
        for run in range(measured):
            peer = Peer(work, start_of(ours, run), device="cuda", dtype=torch.bfloat16)
            seconds += peer.run()
            require_same_losses(ours.losses[run][:4], peer.losses, TOLERANCE["bfloat16"])
        return seconds * runs / measured

    ours: Ours
    sides = {"ours": grid, "eager": one_after_the_other}
    seconds = alternate(sides, _RUN_REPEATS.value, warmup=0)
    note = f"{STEPS} steps each, with {compiling[0]:.1f} s of compiling"
    if runs > GPU_PEER_RUNS:
        note += (
            f"; the peer's seconds are those of {GPU_PEER_RUNS} runs times {runs}/{GPU_PEER_RUNS}"
        )
    work_text = f"{runs} runs of {work.describe()}, bfloat16"
    return Row(work_text, "eager", seconds["ours"], seconds["eager"], goal, note)


def _work(model: str, method, batch_size: int, length: int, dtype=jnp.float32) -> Work:
    return make_work(
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
    """Measures the parts one after the other."""
    unknown = set(_PARTS.value) - MEASUREMENTS.keys()
    if len(arguments) > 1 or unknown:
        raise app.UsageError(f"not known: {arguments[1:]} {unknown}; parts: {list(MEASUREMENTS)}")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rows: list[Row] = []
    for part in _PARTS.value:
        found = MEASUREMENTS[part]()
        print(table(found) if found else "", flush=True)
        rows += found
    versions = f"JAX {jax.__version__}, PyTorch {torch.__version__}"
    print(f"\n{machine()}, {versions}, {jax.devices()[0].device_kind}\n\n{table(rows)}")


if __name__ == "__main__":
    app.run(main)

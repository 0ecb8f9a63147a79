r"""Loading the embedded models here and in transformers: seconds and peak memory of a process.

Example: `python -m benchmarks.loading --repeats=5`

A process of its own loads a model and its tokenizer and ends. Its seconds count from before it was
there, imports included. Here a GGUF file is converted at the first time only, so both are measured.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from benchmarks.measure import machine
from fsl_jax.models.embedded import embedded_path

_REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each measurement.")

HEADINGS = ("model", "loaded by", "seconds: median (least to most)", "peak memory (MiB)")
OURS = "import jax, fsl_jax; jax.block_until_ready(fsl_jax.load({name!r}).params)"
THEIRS = """
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
{kind}.from_pretrained({directory!r}, {options})
AutoTokenizer.from_pretrained({directory!r}, {options})
"""


def programs() -> dict[tuple[str, str], str]:
    """What each side runs, by model and side."""
    encoder, decoder = embedded_path("minilm-l6"), embedded_path("smollm2-135m")
    gguf = f"gguf_file={decoder.name!r}"
    peers = {
        "minilm-l6": ("AutoModel", str(encoder), ""),
        "smollm2-135m": ("AutoModelForCausalLM", str(decoder.parent), gguf),
    }
    found = {}
    for name, (kind, directory, options) in peers.items():
        found[name, "this project, first time"] = OURS.format(name=name)
        found[name, "this project"] = OURS.format(name=name)
        peer = THEIRS.format(kind=kind, directory=directory, options=options)
        found[name, "transformers"] = peer
    return found


def measure(program: str, cache: str) -> tuple[float, float]:
    """Seconds and MiB that a process takes."""
    environment = {**os.environ, "FSL_JAX_CACHE": cache, "JAX_PLATFORMS": "cpu"}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"loading ended with status {status}: {program}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def rows() -> list[list[str]]:
    """A row for each model and side, measured in turns."""
    measured: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(_REPEATS.value):
        with tempfile.TemporaryDirectory() as cache:
            for (name, side), program in programs().items():
                measured.setdefault((name, side), []).append(measure(program, cache))
    return [[name, side, *_cells(each)] for (name, side), each in measured.items()]


def _cells(measured: list[tuple[float, float]]) -> list[str]:
    seconds, memory = zip(*measured, strict=True)
    spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
    return [f"{statistics.median(seconds):.2f} ({spread})", f"{statistics.median(memory):.0f}"]


def main(_: list[str]) -> None:
    """Measures and prints the table."""
    lines = [list(HEADINGS), ["---"] * len(HEADINGS), *rows()]
    print(machine())
    print("".join(f"| {' | '.join(cells)} |\n" for cells in lines))


if __name__ == "__main__":
    app.run(main)

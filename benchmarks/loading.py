r"""Measure loading the embedded models here and in transformers: seconds and peak memory.

Example: `python -m benchmarks.loading --repeats=5`

Each measurement is a process that loads a model and its tokenizer and ends. Its seconds include its
start and imports. This project converts a GGUF file at the first time only, so both times are
measured.
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
PROJECT = "import jax, fsl_jax; jax.block_until_ready(fsl_jax.load({name!r}).params)"
TRANSFORMERS = """
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
{kind}.from_pretrained({directory!r}, {options})
AutoTokenizer.from_pretrained({directory!r}, {options})
"""


def programs() -> dict[tuple[str, str], str]:
    """Return the code that each side runs, by model and side."""
    encoder, decoder = embedded_path("minilm-l6"), embedded_path("smollm2-135m")
    gguf = f"gguf_file={decoder.name!r}"
    peers = {
        "minilm-l6": ("AutoModel", str(encoder), ""),
        "smollm2-135m": ("AutoModelForCausalLM", str(decoder.parent), gguf),
    }
    code = {}
    for name, (kind, directory, options) in peers.items():
        code[name, "this project, first time"] = PROJECT.format(name=name)
        code[name, "this project"] = PROJECT.format(name=name)
        code[name, "transformers"] = TRANSFORMERS.format(
            kind=kind, directory=directory, options=options
        )
    return code


def measure(program: str, cache: str) -> tuple[float, float]:
    """Run a program in a process and return its seconds and MiB."""
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
    """Measure the sides in turns, and return a row for each model and side."""
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
    """Measure, and print the table."""
    lines = [list(HEADINGS), ["---"] * len(HEADINGS), *rows()]
    print(machine())
    print("".join(f"| {' | '.join(cells)} |\n" for cells in lines))


if __name__ == "__main__":
    app.run(main)

r"""Compare a step of every method with LoRA's step, and with PEFT's if PEFT has the method.

Example: `JAX_PLATFORMS=cpu python -m benchmarks.method_speed --repeats=10`

`minilm-l6`, 16 texts of 32 tokens, one run. All sides of a line take turns in one process, from the
same weights. If PEFT has the method, both must have the same losses.
"""

import statistics
from collections.abc import Callable

from absl import app, flags

from benchmarks.measure import alternate, machine, require_same_losses
from benchmarks.peer_models import has_peer
from benchmarks.peer_training import PeerTraining
from benchmarks.project_training import ProjectTraining, initial_leaves
from benchmarks.variants import lines as every_line
from benchmarks.workload import make_workload
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.models.loading import load
from fsl_jax.studies.planning.scoped_list import split
from fsl_jax.studies.reporting.table import markdown_table
from fsl_jax.tasks import load_dataset

_REPEATS = flags.DEFINE_integer("repeats", 10, "Turns of each measurement.", 1, 90)
_METHODS = flags.DEFINE_string("methods", "", "Methods to measure; all unless given.")

MODEL, DATASET, BATCH, TOKENS, STEPS = "minilm-l6", "bbc_news", 16, 32, 100
TOLERANCE = 1e-3
HEADINGS = (
    "method",
    "this project, s",
    "over LoRA's: median (least to most)",
    "PEFT, s",
    "PEFT over this project: median (least to most)",
)


def sides_of(method: Method) -> tuple[ProjectTraining, PeerTraining | None]:
    """Prepare the method here, and in PEFT if PEFT has it, from the same start."""
    pretrained, dataset = load(MODEL), load_dataset(DATASET)
    work = make_workload(pretrained, dataset, method, batch_size=BATCH, length=TOKENS, steps=STEPS)
    project = ProjectTraining(work)
    return project, PeerTraining(work, initial_leaves(project)) if has_peer(method) else None


def cells(name: str) -> list[str]:
    """Measure the line of a method."""
    project, peer = sides_of(parse_method(name))
    lora, _ = sides_of(parse_method("lora"))
    sides: dict[str, Callable[[], float]] = {"project": project.dispatch, "lora": lora.dispatch}
    if peer is not None:
        sides["peer"] = peer.step
    seconds = alternate(sides, _REPEATS.value)
    if peer is not None:
        require_same_losses(project.losses[0][:4], peer.losses, TOLERANCE)
    peer_seconds = seconds.get("peer")
    return [
        f"`{name}`",
        f"{statistics.median(seconds['project']):.3g}",
        _spread(seconds["project"], seconds["lora"]),
        f"{statistics.median(peer_seconds):.3g}" if peer_seconds else "-",
        _spread(peer_seconds, seconds["project"]) if peer_seconds else "-",
    ]


def _spread(above: list[float], below: list[float]) -> str:
    ratios = [first / second for first, second in zip(above, below, strict=True)]
    return f"{statistics.median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"


def main(_: list[str]) -> None:
    """Print each line as soon as it is measured, and the table in the end."""
    lines = []
    for name in split(_METHODS.value, ",") if _METHODS.value else every_line():
        lines.append(cells(name))
        print(markdown_table(HEADINGS, lines[-1:], texts=1).splitlines()[-1], flush=True)
    print(f"\n{machine()}\n\n{markdown_table(HEADINGS, lines, texts=1)}")


if __name__ == "__main__":
    app.run(main)

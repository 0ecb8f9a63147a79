"""Records of runs as a study would leave them, kills between writes, and a measure of pictures."""

import os

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fsl_jax.studies.records.records import CurvePoint, RunRecord

DEFAULTS = {
    "method": "lora",
    "model": "tiny",
    "dataset": "fruits",
    "formulation": "head",
    "metric": "accuracy",
    "seed": 13,
    "shots": 4,
    "learning_rate": 0.001,
    "steps": 20,
    "batch_size": 8,
    "weight_decay": 0.01,
    "settings": {"rank": 8, "targets": ["query", "value"]},
    "status": "finished",
    "validation": 0.75,
    "best_step": 20,
    "selected": True,
    "test": 0.7,
    "test_examples": 200,
    "adapter": "adapters/tiny/lora/seed-13",
    "trainable_parameters": 1000,
    "total_parameters": 50000,
    "model_sha256": "ab" * 32,
    "versions": {"jax": "0.10.2"},
    "notes": (),
    "curve": (CurvePoint(0, 0.25, None), CurvePoint(10, 0.5, 1.5), CurvePoint(20, 0.75, 0.5)),
}
UNSELECTED = {"selected": False, "test": None, "test_examples": None, "adapter": None}
FAILED = {**UNSELECTED, "status": "nan", "validation": None, "best_step": None, "curve": ()}
ABSENT = dict.fromkeys(("learning_rate", "batch_size", "weight_decay", "best_step", "adapter"))
UNTRAINED = {**ABSENT, "steps": 0, "trainable_parameters": 0, "curve": ()}


@pytest.fixture
def make_record():
    """Makes a record, of the kind "selected", "unselected", "failed" or "untrained"."""
    kinds = {"selected": {}, "unselected": UNSELECTED, "failed": FAILED, "untrained": UNTRAINED}

    def make(kind="selected", **changes):
        return RunRecord(**{**DEFAULTS, **kinds[kind], **changes})

    return make


@pytest.fixture
def study(make_record):
    """Three seeds: a good method, a worse one, one that is the same at every seed, a failed one."""
    records = []
    for seed, best, worse in ((13, 0.90, 0.70), (21, 0.91, 0.72), (42, 0.89, 0.69)):
        records += [
            make_record(method="lora(rank=8)", seed=seed, test=best),
            make_record("failed", method="lora(rank=8)", seed=seed, learning_rate=0.1),
            make_record(method="bitfit", model="other", seed=seed, test=worse),
            make_record("untrained", method="zero_shot", seed=seed, test=0.5),
            make_record("failed", method="full", seed=seed),
        ]
    return records


@pytest.fixture
def overhang():
    """Measures how far a figure's content reaches beyond the picture, in inches."""

    def measure(figure) -> float:
        FigureCanvasAgg(figure).draw()
        drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        return max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)

    return measure


class Killed(BaseException):
    pass


@pytest.fixture
def kill_at(monkeypatch):
    """Ends a call before or after a file takes its name, and returns False if it ended earlier."""

    def kill(call, number: int, after: bool) -> bool:
        count = 0
        replace = os.replace

        def counted(*names):
            nonlocal count
            count += 1
            if count == number and not after:
                raise Killed
            replace(*names)
            if count == number:
                raise Killed

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", counted)
            try:
                call()
            except Killed:
                return True
        return False

    return kill

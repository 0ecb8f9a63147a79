"""Both sides have the same losses on texts of different lengths."""

import numpy as np
import pytest

from benchmarks.peer_training import PeerTraining
from benchmarks.project_training import ProjectTraining, initial_leaves
from benchmarks.real_texts.training import describe_tokens, measure_training
from benchmarks.real_texts.workload import make_text_workload
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.packing.padding import Padding


def _seconds_of(step, seconds):
    """Return a method that takes the step, and says that it took these seconds."""

    def dispatch(side):
        step(side)
        return seconds

    return dispatch


pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:transformers")


@pytest.fixture(scope="module")
def workload(tiny, short_texts):
    """Make a workload of 9 steps, of which the first 6 are measured."""

    def make(family, method):
        options = {"batch_size": 4, "steps": 9, "turn": 3, "shots": 3, "learning_rate": 0.02}
        return make_text_workload(tiny(family), short_texts, method, **options)

    return make


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("bert", LoRA()),
        ("bert", BitFit()),
        ("bert", PromptTuning(4)),
        ("bert", TopLayers(1)),
        ("llama", LoRA()),
    ],
    ids=lambda each: getattr(each, "name", each),
)
def test_both_sides_have_the_same_losses(family, method, workload):
    row = measure_training(workload(family, method), turn=3, repeats=1)
    assert len(row.ratios) == 1
    assert row.work == f"{method.name}, tiny, 4 texts of words"
    assert "% padding), here " in row.note


def test_seconds_of_several_runs_are_divided_by_their_number(workload, monkeypatch):
    monkeypatch.setattr(ProjectTraining, "dispatch", _seconds_of(ProjectTraining.dispatch, 6.0))
    row = measure_training(workload("bert", LoRA()), turn=3, repeats=1, runs=2)
    assert row.seconds == [3.0]
    assert row.work.endswith(", 2 runs at once")


def test_sides_with_other_losses_are_refused(workload, monkeypatch):
    losses = ProjectTraining.losses
    monkeypatch.setattr(
        ProjectTraining, "losses", property(lambda side: losses.fget(side) + np.float32(0.01))
    )
    with pytest.raises(ValueError, match="same work"):
        measure_training(workload("bert", LoRA()), turn=3, repeats=1)


def test_padding_counts_soft_prompts_as_tokens_of_the_texts(workload):
    work = workload("bert", PromptTuning(4))
    project = ProjectTraining(work)
    peer = PeerTraining(work, initial_leaves(project))
    texts = sum(len(work.tokens[row]) + 4 for row in work.order().ravel())
    assert peer.padding.real == project.padding.real == texts
    assert texts < peer.padding.computed
    assert texts <= project.padding.computed


def test_tokens_are_those_of_a_step_of_a_run():
    described = describe_tokens(Padding(1000, 600), Padding(1600, 1200), steps=10, runs=2)
    assert described == "the peer 100 (40% padding), here 80 (25%)"

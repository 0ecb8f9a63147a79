"""Both sides of the benchmark do the same work: the same weights give the same losses."""

import numpy as np
import pytest

from benchmarks.measure import require_same_losses
from benchmarks.peer_training import PeerTraining
from benchmarks.project_training import ProjectTraining, initial_leaves
from benchmarks.workload import make_workload
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.methods.top_layers import TopLayers


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("bert", LoRA()),
        ("bert", LoRA(learning_rate_ratio=4.0)),
        ("bert", LinearProbe()),
        ("bert", TopLayers(1)),
        ("bert", PromptTuning(4)),
        ("llama", LoRA()),
        ("bert", IA3()),
        ("bert", PTuning(3, hidden=4)),
        ("bert", PTuning(3, "mlp", 4)),
        ("bert", PrefixTuning(3, 4)),
        # A budget of all ranks: how it shrinks is up to the number of steps, which files leave out.
        ("bert", AdaLoRA(rank=4, target_rank=4)),
    ],
    ids=lambda each: getattr(each, "name", each),
)
@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")
# AdaLoRA's pattern has names of parameters, where LoRA's has names of layers.
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")
def test_both_sides_have_the_same_losses(family, method, tiny, long_texts):
    work = make_workload(
        tiny(family),
        long_texts,
        method,
        batch_size=4,
        length=16,
        steps=6,
        learning_rate=0.02,
        shots=3,
    )
    project = ProjectTraining(work, runs=2)
    project.run()
    assert project.losses.shape == (2, 6)
    assert np.abs(np.diff(project.losses)).max(axis=1).min() > 0.01
    assert not np.allclose(*project.losses)
    for run, options in enumerate([{}, {"last_logits_only": False}]):
        peer = PeerTraining(work, initial_leaves(project, run), run, **options)
        peer.run()
        assert len(peer.losses) == 6
        require_same_losses(project.losses[run], peer.losses, 1e-4)

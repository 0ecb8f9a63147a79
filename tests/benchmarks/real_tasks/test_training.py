"""Both sides have the same losses on tags and on relations."""

import pytest

from benchmarks.real_texts.training import measure_training
from benchmarks.real_texts.workload import make_text_workload
from fsl_jax.adapt.methods.lora import LoRA

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:transformers")


@pytest.mark.parametrize("task", ["tagging", "relation"])
def test_both_sides_have_the_same_losses(task, tiny, tagged_texts, related_texts):
    dataset = {"tagging": tagged_texts, "relation": related_texts}[task]
    options = {"batch_size": 4, "steps": 9, "turn": 3, "shots": 3, "learning_rate": 0.02}
    work = make_text_workload(tiny("bert"), dataset, LoRA(), **options)
    row = measure_training(work, turn=3, repeats=1, goal=1.2)
    assert row.work == f"lora, tiny, 4 texts of {task}"
    assert row.goal == 1.2

import numpy as np

from fsl_jax.studies.planning.programs import PlannedRun
from fsl_jax.studies.planning.select import select
from fsl_jax.studies.planning.written_method import WrittenMethod

LORA, FULL = WrittenMethod.parse("lora"), WrittenMethod.parse("full")
RUNS = [
    PlannedRun(LORA, 1, 1e-3),
    PlannedRun(LORA, 1, 1e-2),
    PlannedRun(LORA, 2, 1e-3),
    PlannedRun(LORA, 2, 1e-2),
    PlannedRun(FULL, 1, 1e-3),
]


def chosen(accuracies, losses=(1, 1, 1, 1, 1), failed=(False,) * 5) -> list[int]:
    return select(RUNS, np.array(accuracies), np.array(losses), np.array(failed))


def test_the_best_of_each_method_and_seed():
    assert chosen([0.5, 0.7, 0.9, 0.8, 0.1]) == [1, 2, 4]


def test_equal_accuracies_are_decided_by_the_loss_and_then_by_order():
    assert chosen([0.5, 0.5, 0.5, 0.5, 0.5], losses=[2, 1, 1, 1, 1]) == [1, 2, 4]


def test_failed_runs_are_never_chosen():
    assert chosen([0.9, 0.1, 0.9, 0.9, 0.9], failed=[True, False, True, True, False]) == [1, 4]

"""Carry out a program that trains: fit, select, test, save the adapters, record."""

import time

from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.select import select
from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.running.fit_records import fit_records
from fsl_jax.studies.running.prepare import prepare
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.studies.running.saving import save_run
from fsl_jax.studies.running.testing import measure_selected
from fsl_jax.studies.running.training import fit_groups
from fsl_jax.training.program import Program


def run_fit(
    study: RunningStudy, planned: PlannedProgram, program: Program
) -> tuple[list[RunRecord], dict[str, float]]:
    """Train the runs of a program, and select and test the best.

    Args:
      study: the study.
      planned: the program in the plan.
      program: the compiled program.

    Returns:
      A record for each run, in order, and the seconds of training and of evaluation.
    """
    start = time.monotonic()
    pretrained = study.load(planned.model)
    prepared = prepare(planned, pretrained, study.dataset, study.config, mesh=study.mesh)
    fitted = fit_groups(study, prepared, program)
    trained = time.monotonic()
    history = fitted.history
    selected = select(
        planned.runs, history["best_measure"], history["best_loss"], history["diverged"]
    )
    measured = measure_selected(study, prepared, fitted, selected)
    adapters = {index: save_run(study, prepared, fitted, index) for index in selected}
    records = fit_records(study, prepared, fitted, measured, adapters)
    return records, {"train": trained - start, "evaluate": time.monotonic() - trained}

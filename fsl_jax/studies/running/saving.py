"""Save the adapters of the selected runs."""

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.studies.planning.directories import adapter_directory
from fsl_jax.studies.running.prepare import Prepared
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.studies.running.training import Fitted


def save_run(study: RunningStudy, prepared: Prepared, fitted: Fitted, index: int) -> str:
    """Save the adapter of a run, if this process writes files.

    Args:
      study: the study.
      prepared: the arrays of the program.
      fitted: the trained leaves of all runs.
      index: the index of the run.

    Returns:
      The adapter's directory, relative to the study's.
    """
    planned = prepared.planned
    run = planned.runs[index]
    directory = adapter_directory(planned.model, run)
    if study.writes:
        save_adapter(
            study.directory / directory,
            run.method.finish(prepared.stack.run_leaves(fitted.best, index)),
            run.method,
            prepared.formulation.pretrained,
            prepared.formulation.describe(),
        )
    return directory

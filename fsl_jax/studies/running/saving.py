"""Save the adapters of the selected runs."""

import re

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.studies.planning.formulations import describe_formulation
from fsl_jax.studies.planning.programs import PlannedRun
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
            describe_formulation(prepared.formulation),
        )
    return directory


def adapter_directory(model: str, run: PlannedRun) -> str:
    """Return the directory of a run's adapter, relative to the study's.

    Args:
      model: the model as it was written.
      run: the run; its method is named as it was written.

    Returns:
      For example `adapters/minilm-l6/lora_rank=4_/seed_13`.
    """
    names = (model.strip("/"), run.method_text, f"seed_{run.seed}")
    return "/".join(["adapters", *(re.sub(r"[^\w.=+-]+", "_", name) for name in names)])

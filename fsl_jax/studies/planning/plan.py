"""Plan a study: group its runs into programs, each of which is compiled once."""

import dataclasses
from typing import Any

from fsl_jax.outputs.names import MAX_BYTES, directory_name
from fsl_jax.studies.planning.batch_memory import require_batch_memory
from fsl_jax.studies.planning.directories import require_distinct_directories
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.scoped_flags import ScopedFlags, read_scoped_flags
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.planning.written_method import WrittenMethod

MAX_TITLE_BYTES = MAX_BYTES - 10
"""The bytes in the title of a program. Its number and the ending of a file are added to it."""


def plan_programs(config: StudyConfig) -> list[PlannedProgram]:
    """Group the runs of a study that can be stacked, without loading models or data.

    Args:
      config: the study's config.

    Returns:
      The programs in the order of models and methods.

    Raises:
      InputError: a method is unknown, a list names a model or method that the study does not
        have, a program has more batches than this machine can hold, or two adapters would be in
        the same directory.
    """
    flags = read_scoped_flags(config)
    programs: dict[tuple[Any, ...], PlannedProgram] = {}
    for model in dict.fromkeys(config.models):
        for written in flags.methods_for(model):
            planned = _plan_method(config, flags, model, written)
            key = _stacking_key(planned)
            if key in programs:
                runs = (*programs[key].runs, *planned.runs)
                programs[key] = dataclasses.replace(programs[key], runs=runs)
            else:
                programs[key] = dataclasses.replace(planned, number=len(programs))
    require_batch_memory(programs.values())
    require_distinct_directories(programs.values())
    return list(programs.values())


def _stacking_key(planned: PlannedProgram) -> tuple[Any, ...]:
    """Return the key for joining programs: runs with the same key can be stacked."""
    method = planned.runs[0].method
    structure = (method.name, *method.structure)
    return planned.model, planned.formulation, structure, planned.steps, planned.batch_size


def _plan_method(
    config: StudyConfig, flags: ScopedFlags, model: str, written: WrittenMethod
) -> PlannedProgram:
    """Plan the runs of one method with one model as a separate program, with number 0."""
    method = written.method
    # A head must be trained, so a method that trains nothing is asked in its own way.
    own = config.formulation == "auto" or (config.formulation == "head" and not method.trains)
    formulation = method.default_formulation if own else config.formulation
    title = directory_name(f"{model.strip('/').split('/')[-1]}-{method.name}", MAX_TITLE_BYTES)
    if not method.trains:
        asked = tuple(PlannedRun(written, seed, None) for seed in config.seeds)
        return PlannedProgram(0, title, model, formulation, 0, 0, asked)
    rates = flags.learning_rates_for(model, written)
    return PlannedProgram(
        number=0,
        title=title,
        model=model,
        formulation=formulation,
        steps=flags.steps_for(model, written),
        batch_size=flags.batch_size_for(model, written),
        runs=tuple(PlannedRun(written, seed, rate) for seed in config.seeds for rate in rates),
    )

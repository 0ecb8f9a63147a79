"""Compile the programs of a study, for as many runs at once as fit into memory."""

import dataclasses

from absl import logging

from fsl_jax.compilation import device_memory_limit
from fsl_jax.processes import gather
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.running.prepare import Prepared, prepare
from fsl_jax.studies.running.prompting import make_prompt_formulation
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.caching import pool_shapes
from fsl_jax.training.program import Program, compile_program
from fsl_jax.training.program_size import compile_largest
from fsl_jax.training.stacked_runs import stack_shapes

MEMORY_SHARE = 0.9
"""The share of a device's memory that a program may take."""


def compile_all(
    study: RunningStudy, programs: list[PlannedProgram], options: RunOptions
) -> tuple[list[PlannedProgram], dict[str, Program]]:
    """Load the models, prepare every program, then compile all, so that errors come early.

    Args:
      study: the study.
      programs: the planned programs.
      options: the options of this invocation; the memory limit is used.

    Returns:
      The planned programs with their compiled sizes, and the compiled programs by name.
    """
    limit = min(gather(options.memory_limit or int(MEMORY_SHARE * device_memory_limit())))
    planned, compiled = [], {}
    task = study.progress.task("load and compile", len(programs))
    prepared = [_prepare(study, program) for program in programs]
    for number, (program, parts) in enumerate(zip(programs, prepared, strict=True)):
        study.stop_if_asked("stopped before the first run")
        if parts is not None:
            program, compiled[program.name] = _compile_prepared(study, parts, limit)
            planned.append(program)
        else:
            planned.append(dataclasses.replace(program, size=1))
        task.update(number + 1)
    return planned, compiled


def _prepare(study: RunningStudy, planned: PlannedProgram) -> Prepared | None:
    """Load the model of a program and prepare its arrays; None if it trains nothing."""
    study.stop_if_asked("stopped before the first run")
    if not planned.trains:
        make_prompt_formulation(study, planned)
        return None
    return _prepared_shapes(study, planned)


def compile_planned(
    study: RunningStudy, planned: PlannedProgram, limit: int = 0
) -> tuple[PlannedProgram, Program]:
    """Compile a program for as many runs as fit, or for the planned size.

    Args:
      study: the study.
      planned: the program; its size is 0 if it was never compiled.
      limit: the bytes that it may use on a device; only used if the program has no size yet.

    Returns:
      The planned program with its compiled sizes, and the compiled program.
    """
    return _compile_prepared(study, _prepared_shapes(study, planned), limit)


def _prepared_shapes(study: RunningStudy, planned: PlannedProgram) -> Prepared:
    """Prepare a program with the shapes of its parameters alone."""
    pretrained = study.load(planned.model)
    return prepare(planned, pretrained, study.dataset, study.config, stack_shapes, study.mesh)


def _compile_prepared(
    study: RunningStudy, prepared: Prepared, limit: int
) -> tuple[PlannedProgram, Program]:
    planned, program = prepared.planned, _compile(study, prepared, limit)
    planned = dataclasses.replace(
        planned,
        size=program.size,
        steps_per_dispatch=prepared.fit_config.steps_per_dispatch,
        tokens=prepared.step_tokens,
        row_length=prepared.runs.training.shape.length,
        padding=prepared.padding,
        memory=program.memory,
    )
    logging.info("%s trains\n%s", planned.name, prepared.stack.summary)
    study.progress.note(f"{planned.title}: {_step_text(planned)}")
    return planned, program


def _step_text(planned: PlannedProgram) -> str:
    if not planned.tokens:
        return "a step reads no tokens, since all representations are computed once"
    return (
        f"a step of a run reads {planned.tokens} tokens in rows of {planned.row_length}; "
        f"{planned.padding:.1%} of all are padding"
    )


def _compile(study: RunningStudy, prepared: Prepared, limit: int) -> Program:
    planned, stack = prepared.planned, prepared.stack
    pool = pool_shapes(prepared.formulation, stack.shared, stack.mask, prepared.encoded.pool)

    def compile_size(size: int) -> Program:
        return compile_program(
            prepared.formulation,
            stack.method,
            prepared.fit_config,
            size,
            stack.trainable,
            prepared.runs,
            stack.shared,
            pool,
            study.mesh,
        )

    if planned.size:
        return compile_size(planned.size)
    multiple = 1 if study.mesh is None else study.mesh.shape["runs"]
    return compile_largest(compile_size, len(planned.runs), limit, multiple)

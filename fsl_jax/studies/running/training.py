"""Train the runs of a program, group by group, with checkpoints and progress."""

import dataclasses
from typing import Any

import jax
import numpy as np

from fsl_jax.adapt.tree import Params
from fsl_jax.packing.pool import Pool
from fsl_jax.processes import to_host
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.running.prepare import Prepared, slice_runs
from fsl_jax.studies.running.running_study import RunningStudy
from fsl_jax.training.caching import cache_pool
from fsl_jax.training.checkpointer import Checkpointer
from fsl_jax.training.fit_loop import Stopped, fit, is_over
from fsl_jax.training.program import Program, place_shared
from fsl_jax.training.state import FitState


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """The result of training, for all runs of a program in their order.

    Attributes:
      best: the trained leaves at the best validation, `[N, ...]`.
      history: the other fields of `RunState` by name, as NumPy arrays `[N, ...]`.
    """

    best: Params
    history: dict[str, np.ndarray]


def fit_groups(study: RunningStudy, prepared: Prepared, program: Program) -> Fitted:
    """Train all runs of a program, one group after the other.

    Args:
      study: the study.
      prepared: the arrays of the program.
      program: the compiled program.

    Returns:
      The trained leaves and the history of all runs.

    Raises:
      Stopped: a process was asked to stop; the state is saved.
    """
    stack = prepared.stack
    whole = prepared.encoded.pool
    pool = cache_pool(prepared.formulation, stack.shared, stack.mask, whole, study.mesh)
    shared, pool = place_shared(stack.shared, pool, study.mesh)
    results = [
        _fit_group(study, prepared, program, number, shared, pool)
        for number in range(len(prepared.planned.groups))
    ]
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)
    return Fitted(joined.pop("best"), joined)


def _fit_group(
    study: RunningStudy,
    prepared: Prepared,
    program: Program,
    number: int,
    shared: Params,
    pool: Pool,
) -> dict[str, Any]:
    """Train one group from its last checkpoint, and return its results on the host."""
    planned, config = prepared.planned, prepared.fit_config
    group = planned.groups[number]
    trainable = slice_runs(prepared.stack.trainable, group)
    state, runs = program.place(trainable, slice_runs(prepared.runs, group), len(group), config)
    directory = study.directory / "checkpoints" / planned.name / f"{number:03d}"
    checkpointer = Checkpointer(directory, study.checkpoint_seconds)
    state = checkpointer.restore(state)
    title = _group_title(planned, program.size, number)
    task = study.progress.task(title, config.steps, int(state.step))

    def after_dispatch(latest: FitState, last: bool) -> None:
        task.update(int(latest.step), loss=_latest_loss(latest))
        status = study.stop_status()
        checkpointer.save(latest, last or status != 0)
        if status:
            raise Stopped(f"stopped after step {int(latest.step)} of {title}; it is saved", status)

    if not is_over(state, config):
        state = fit(program, state, runs, shared, pool, config, after_dispatch)
    task.finish()
    # Leave out the copies of runs that fill up the last group.
    return slice_runs(to_host(_result_fields(state)), range(len(group)))


def _group_title(planned: PlannedProgram, size: int, number: int) -> str:
    title = f"{planned.title}, {size} runs"
    count = len(planned.groups)
    return title if count == 1 else f"{title}, group {number + 1} of {count}"


def _latest_loss(state: FitState) -> float | None:
    """Return the mean loss of all runs at the last step; None if no run has a finite loss."""
    losses = to_host(state.runs.losses)[:, int(state.step) - 1]
    return float(np.nanmean(losses)) if np.isfinite(losses).any() else None


def _result_fields(state: FitState) -> dict[str, Any]:
    """Return the fields of the state that are needed after training."""
    left_out = ("trainable", "optimizer", "method_state")
    names = [field.name for field in dataclasses.fields(state.runs) if field.name not in left_out]
    return {name: getattr(state.runs, name) for name in names}

"""Carrying out the programs that train: fit, select, test, save the adapters."""

import dataclasses
import re
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.adapt.summary import count_parameters
from fsl_jax.adapt.tree import Params
from fsl_jax.processes import to_host
from fsl_jax.studies.planning.formulations import describe_formulation
from fsl_jax.studies.planning.plan import PlannedProgram
from fsl_jax.studies.planning.select import select
from fsl_jax.studies.records.records import CurvePoint, RunRecord
from fsl_jax.studies.running.prepare import Prepared, prepare, slice_runs
from fsl_jax.studies.running.running_study import RunningStudy, make_record
from fsl_jax.tasks.encoding import label_indices
from fsl_jax.training.caching import cache_trunk, pool_shapes
from fsl_jax.training.loop import Checkpointer, Stopped, fit, is_over
from fsl_jax.training.predict import predict
from fsl_jax.training.program import Program, compile_largest, compile_program, place_shared
from fsl_jax.training.stack import stack_shapes
from fsl_jax.training.state import FitState


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """What training left, for all runs of a program in their order.

    Attributes:
      best: trained leaves at the best validation, `[N, ...]`.
      history: the other fields of `RunState` by name, as NumPy arrays `[N, ...]`.
    """

    best: Params
    history: dict[str, np.ndarray]


def compile_planned(
    study: RunningStudy, planned: PlannedProgram, limit: int
) -> tuple[PlannedProgram, Program]:
    """Compiles a program for as many runs as fit, or for the size that was planned.

    Args:
      study: the study.
      planned: the program; its size is 0 if it was never compiled.
      limit: bytes that it may take on a device.

    Returns:
      The plan with what compiling told, and the compiled program.
    """
    pretrained = study.load(planned.model)
    prepared = prepare(planned, pretrained, study.dataset, study.config, stack_shapes)
    stack = prepared.stack
    pool = pool_shapes(prepared.formulation, stack.shared, stack.mask, prepared.encoded.arrays)

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

    multiple = 1 if study.mesh is None else study.mesh.shape["runs"]
    if planned.size:
        program = compile_size(planned.size)
    else:
        program = compile_largest(compile_size, len(planned.runs), limit, multiple)
    logging.info("%s trains\n%s", planned.name, stack.summary)
    return dataclasses.replace(
        planned,
        size=program.size,
        steps_per_dispatch=prepared.fit_config.steps_per_dispatch,
        tokens=prepared.encoded.arrays["input_ids"].shape[1],
        memory=program.memory,
    ), program


def run_fit(
    study: RunningStudy, planned: PlannedProgram, program: Program
) -> tuple[list[RunRecord], dict[str, float]]:
    """Trains the runs of a program, selects among them, and tests the selected ones.

    Args:
      study: the study.
      planned: the program as it stands in the plan.
      program: the compiled program.

    Returns:
      A record for each run, in order, and the seconds of training and of evaluation.
    """
    start = time.monotonic()
    pretrained = study.load(planned.model)
    prepared = prepare(planned, pretrained, study.dataset, study.config)
    fitted = _fit_groups(study, prepared, program)
    trained = time.monotonic()
    history = fitted.history
    chosen = select(
        planned.runs, history["best_accuracy"], history["best_loss"], history["diverged"]
    )
    tests = _test(study, prepared, fitted, chosen)
    adapters = {run: _save(study, prepared, fitted, run) for run in chosen}
    records = [
        _record(study, prepared, history, position, tests.get(position), adapters.get(position))
        for position in range(len(planned.runs))
    ]
    return records, {"train": trained - start, "evaluate": time.monotonic() - trained}


def _fit_groups(study: RunningStudy, prepared: Prepared, program: Program) -> Fitted:
    stack, config = prepared.stack, prepared.fit_config
    arrays = prepared.encoded.arrays
    chunk = config.evaluation_batch
    pool = cache_trunk(prepared.formulation, stack.shared, stack.mask, arrays, chunk, study.mesh)
    shared, pool = place_shared(stack.shared, pool, study.mesh)
    parts = []
    for number, group in enumerate(prepared.planned.groups):
        trainable, runs = slice_runs(stack.trainable, group), slice_runs(prepared.runs, group)
        state, runs = program.place(trainable, runs, len(group), config)
        directory = study.directory / "checkpoints" / prepared.planned.name / f"{number:03d}"
        keeper = Checkpointer(directory, study.checkpoint_seconds)
        state = keeper.restore(state)
        state = _fit_group(study, prepared, program, keeper, state, (runs, shared, pool), number)
        parts.append(slice_runs(to_host(_fields(state)), range(len(group))))
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return Fitted(joined.pop("best"), joined)


def _fit_group(
    study: RunningStudy,
    prepared: Prepared,
    program: Program,
    keeper: Checkpointer,
    state: FitState,
    inputs: tuple[Any, Any, Any],
    number: int,
) -> FitState:
    groups, config = len(prepared.planned.groups), prepared.fit_config
    name = f"{prepared.planned.name.split('-', 1)[1]}, {program.size} runs"
    title = name if groups == 1 else f"{name}, group {number + 1} of {groups}"
    task = study.progress.task(title, config.steps, int(state.step))

    def after_dispatch(now: FitState, last: bool) -> None:
        task.update(int(now.step), loss=_latest_loss(now))
        status = study.stop_status()
        keeper.keep(now, last or status != 0)
        if status:
            raise Stopped(f"stopped after step {int(now.step)} of {title}; it is saved", status)

    if not is_over(state, config):
        state = fit(program, state, *inputs, config, after_dispatch)
    task.finish()
    return state


def _latest_loss(state: FitState) -> float | None:
    losses = to_host(state.runs.losses)[:, int(state.step) - 1]
    return float(np.nanmean(losses)) if np.isfinite(losses).any() else None


def _fields(state: FitState) -> dict[str, Any]:
    left_out = ("trainable", "optimizer", "method_state")
    names = [name for name in state.runs.__dataclass_fields__ if name not in left_out]
    return {name: getattr(state.runs, name) for name in names}


def _test(
    study: RunningStudy, prepared: Prepared, fitted: Fitted, chosen: Sequence[int]
) -> dict[int, float]:
    """The accuracy of the selected runs on the test set, by position."""
    if not chosen:
        return {}
    rows = np.array(chosen)
    best, frozen_leaves = (
        jax.tree.map(lambda leaf: leaf[rows], to_host(tree))
        for tree in (fitted.best, prepared.stack.frozen_leaves)
    )
    logits = predict(
        prepared.formulation,
        prepared.stack.method,
        best,
        frozen_leaves,
        prepared.stack.shared,
        study.test,
        mesh=study.mesh,
    )
    labels = label_indices(study.test, prepared.formulation.labels)
    accuracies = (logits.argmax(axis=-1) == labels[None, :]).mean(axis=1)
    return dict(zip(chosen, map(float, accuracies), strict=True))


def _save(study: RunningStudy, prepared: Prepared, fitted: Fitted, position: int) -> str:
    planned = prepared.planned
    run = planned.runs[position]
    names = (planned.model.strip("/"), run.method, f"seed_{run.seed}")
    place = "/".join(["adapters", *(re.sub(r"[^\w.=+-]+", "_", name) for name in names)])
    if study.writes:
        method = parse_method(run.method)
        save_adapter(
            study.directory / place,
            method.finish(prepared.stack.own(fitted.best, position)),
            method,
            prepared.formulation.pretrained,
            describe_formulation(prepared.formulation),
        )
    return place


def _record(
    study: RunningStudy,
    prepared: Prepared,
    history: dict[str, np.ndarray],
    position: int,
    test: float | None,
    adapter: str | None,
) -> RunRecord:
    planned = prepared.planned
    run = planned.runs[position]
    own = {name: values[position] for name, values in history.items()}
    measured = bool(own["best_accuracy"] >= 0)
    method, shapes = parse_method(run.method), prepared.stack.shapes[position]
    unused = method.unused_parameters(shapes)
    status = "nan" if own["diverged"] else "stopped_early" if own["stopped"] else "finished"
    return make_record(
        study,
        planned,
        run,
        formulation=prepared.formulation.name,
        settings={
            "method": dataclasses.asdict(method),
            "formulation": describe_formulation(prepared.formulation),
        },
        status=status,
        validation=_rounded(own["best_accuracy"]) if measured else None,
        best_step=int(own["best_step"]) if measured else None,
        selected=test is not None,
        test=_rounded(test) if test is not None else None,
        test_examples=len(study.test) if test is not None else None,
        adapter=adapter,
        trainable_parameters=count_parameters(shapes) - unused,
        total_parameters=prepared.stack.total_parameters(position) - unused,
        notes=_notes(study, prepared),
        curve=_curve(own, prepared.fit_config.evaluate_every),
    )


def _notes(study: RunningStudy, prepared: Prepared) -> tuple[str, ...]:
    _, test = prepared.formulation.tokenize(study.test)
    cut = {"training and validation": prepared.encoded.truncated, "test": test}
    limit = prepared.formulation.limit
    return tuple(
        f"{count} {part} texts were longer than {limit} tokens and were cut"
        for part, count in cut.items()
        if count
    )


def _curve(own: dict[str, np.ndarray], every: int) -> tuple[CurvePoint, ...]:
    points = []
    for place, accuracy in enumerate(own["accuracies"]):
        losses = own["losses"][place * every : (place + 1) * every]
        seen = losses[np.isfinite(losses)]
        if np.isfinite(accuracy):
            mean = _rounded(seen.mean()) if len(seen) else None
            step = min((place + 1) * every, len(own["losses"]))
            points.append(CurvePoint(step, _rounded(accuracy), mean))
    return tuple(points)


def _rounded(value: float | np.floating) -> float:
    """Six digits: more than there are, and the same text for the same value."""
    return round(float(value), 6)

"""The plan of a study: which runs go into which programs, written down before the first run."""

import dataclasses
import json
from typing import Any

from etils import epath

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import (
    METHODS,
    method_name,
    parse_call,
    parse_method,
    split_joined,
)
from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.studies.planning.scoped_list import ScopedList, parse_scoped_list
from fsl_jax.studies.planning.study_config import StudyConfig

PROMPTED = ("zero_shot", "icl")
"""Methods that ask the model as it is and train nothing."""


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One method on one split with one learning rate.

    Attributes:
      method: the method as it was written, settings included.
      seed: of the split, the initialisation and the order of batches.
      learning_rate: its peak; None where nothing is trained.
    """

    method: str
    seed: int
    learning_rate: float | None


@dataclasses.dataclass(frozen=True)
class PlannedProgram:
    """Runs that are done by one compiled program, all at once or in groups.

    Attributes:
      name: names its directory.
      model: the model.
      formulation: `head` or `template`.
      steps: optimiser steps; 0 where nothing is trained.
      batch_size: examples a step; 0 where nothing is trained.
      runs: the runs, in the order of the results.
      size: how many runs the program does at once; 0 until it was compiled.
      steps_per_dispatch: likewise.
      tokens: T, the length that training examples are padded to; likewise.
      memory: bytes that the program needs on a device by the compiler's figure; likewise.
    """

    name: str
    model: str
    formulation: str
    steps: int
    batch_size: int
    runs: tuple[PlannedRun, ...]
    size: int = 0
    steps_per_dispatch: int = 0
    tokens: int = 0
    memory: int = 0

    @property
    def prompted(self) -> bool:
        """Whether the program asks the model as it is."""
        return self.runs[0].method in PROMPTED

    @property
    def groups(self) -> list[range]:
        """The positions of the runs that are done at once."""
        count = len(self.runs)
        return [range(at, min(at + self.size, count)) for at in range(0, count, self.size)]


def plan_programs(config: StudyConfig) -> list[PlannedProgram]:
    """Groups the runs of a study by what can be stacked; nothing is loaded.

    Args:
      config: what the study asks.

    Returns:
      The programs in the order of models and methods.

    Raises:
      InputError: an unknown method, or a list that names a model or method that is not there.
    """
    methods = parse_scoped_list(config.methods, _known_method, "methods")
    rates = _rates(config)
    steps = parse_scoped_list(config.steps, int, "steps")
    batch_sizes = parse_scoped_list(config.batch_size, int, "batch_size")
    chosen = {model: _methods_of(methods, model) for model in config.models}
    _require_known_keys(config, chosen, methods, rates, steps, batch_sizes)
    programs: dict[tuple[Any, ...], PlannedProgram] = {}
    for model, texts in chosen.items():
        for text in texts:
            planned = _program_of(config, model, text, rates, steps, batch_sizes)
            key = (model, planned.formulation, _structure(text), planned.steps, planned.batch_size)
            before = programs.get(key)
            runs = (*(before.runs if before else ()), *planned.runs)
            programs[key] = dataclasses.replace(before or planned, runs=runs)
    return [
        dataclasses.replace(program, name=f"{number:02d}-{program.name}")
        for number, program in enumerate(programs.values())
    ]


def _known_method(text: str) -> str:
    parts = split_joined(text)
    for part in parts:
        name, arguments, keywords = parse_call(part)
        if name in PROMPTED and (arguments or keywords):
            raise InputError(f"{text!r}: {name} has no settings")
        if name in PROMPTED and len(parts) > 1:
            raise InputError(f"{text!r}: {name} trains nothing, so it cannot be joined")
        if name not in METHODS and name not in PROMPTED:
            raise unknown_name("method", name, [*METHODS, *PROMPTED])
    if method_name(text) not in PROMPTED:
        parse_method(text)
    return text


def _methods_of(methods: ScopedList[str], model: str) -> tuple[str, ...]:
    """Methods without a model are for all; those with one are for it, besides."""
    return tuple(dict.fromkeys(item.value for item in methods.items if item.applies_to(model)))


def _rates(config: StudyConfig) -> ScopedList[float]:
    if not config.learning_rates:
        return ScopedList(())
    rates = parse_scoped_list(config.learning_rates, float, "learning_rates")
    wrong = [str(item.value) for item in rates.items if not item.value > 0]
    if wrong:
        raise InputError(f"--learning_rates: expected positive numbers, found {', '.join(wrong)}")
    return rates


def _require_known_keys(
    config: StudyConfig, chosen: dict[str, tuple[str, ...]], *lists: ScopedList[Any]
) -> None:
    texts = {text for own in chosen.values() for text in own}
    known = {*config.models, *texts, *map(method_name, texts)}
    unknown = sorted(set().union(*(each.keys() for each in lists)) - known)
    if unknown:
        raise unknown_name("model or method before a colon", unknown[0], known)
    idle = [model for model, own in chosen.items() if not own]
    if idle:
        raise problems_error("models without a method; name one, or leave the model out:", idle)


def _program_of(
    config: StudyConfig,
    model: str,
    text: str,
    rates: ScopedList[float],
    steps: ScopedList[int],
    batch_sizes: ScopedList[int],
) -> PlannedProgram:
    name = method_name(text)
    names = (model, text, name)
    title = f"{model.strip('/').split('/')[-1]}-{name}"
    if name in PROMPTED:
        runs = tuple(PlannedRun(text, seed, None) for seed in config.seeds)
        return PlannedProgram(title, model, "template", 0, 0, runs)
    chosen = rates.of(*names) or parse_method(text).learning_rates
    runs = tuple(PlannedRun(text, seed, rate) for seed in config.seeds for rate in chosen)
    formulation = config.formulation
    if name == "linear_probe" and formulation == "auto":
        formulation = "head"
    return PlannedProgram(
        title,
        model,
        formulation,
        _the_one(steps.of(*names), "steps", names),
        _the_one(batch_sizes.of(*names), "batch_size", names),
        runs,
    )


def _the_one(values: tuple[int, ...], flag: str, names: tuple[str, ...]) -> int:
    if len(values) != 1 or values[0] < 1:
        raise InputError(
            f"--{flag}: expected one number of at least 1 for {names[1]} with {names[0]}, "
            f"found {', '.join(map(str, values)) or 'none'}"
        )
    return values[0]


def _structure(text: str) -> tuple[Any, ...]:
    """What two methods must have in common to be stacked."""
    name = method_name(text)
    if name in PROMPTED:
        return (name,)
    method: Method = parse_method(text)
    return (method.name, *method.structure)


def describe(
    config: StudyConfig,
    environment: dict[str, Any],
    data: dict[str, Any],
    programs: list[PlannedProgram],
) -> dict[str, Any]:
    """The plan as JSON values.

    Args:
      config: what the study asks.
      environment: from `environment.describe`.
      data: what the data set is, its hash among it.
      programs: the programs, compiled.

    Returns:
      The plan.
    """
    plan = {
        "question": dataclasses.asdict(config),
        "environment": environment,
        "data": data,
        "programs": [dataclasses.asdict(program) for program in programs],
    }
    return json.loads(json.dumps(plan))


def read_programs(plan: dict[str, Any]) -> list[PlannedProgram]:
    """The programs of a plan that was read from a file."""
    return [
        PlannedProgram(**program | {"runs": tuple(PlannedRun(**run) for run in program["runs"])})
        for program in plan["programs"]
    ]


def require_same(found: dict[str, Any], plan: dict[str, Any], directory: epath.Path) -> None:
    """Refuses to go on in a directory whose study was another one.

    Args:
      found: the plan that the directory holds.
      plan: what the flags and this machine ask for; its programs are not compared.
      directory: the directory.

    Raises:
      InputError: they differ; all differences are listed.
    """
    differences = [
        f"{part}.{name}: there {json.dumps(found[part].get(name))}, "
        f"here {json.dumps(plan[part].get(name))}"
        for part in ("question", "environment", "data")
        for name in sorted({*found[part], *plan[part]})
        if found[part].get(name) != plan[part].get(name)
    ]
    if differences:
        raise problems_error(
            f"{directory} holds a study that was begun otherwise. Go on with it under the same "
            "flags on the same kind of machine, or give another --output. The differences:",
            differences,
        )

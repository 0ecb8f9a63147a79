"""Sections of a page about each task, made from the task itself and the rows of its sample."""

import json
import textwrap
from collections.abc import Iterable, Mapping

from benchmarks.tasks.models import models
from benchmarks.tasks.rows import COLUMNS, sample, sample_file
from benchmarks.tasks.trying import Combination, formulation_of
from benchmarks.tasks.uses import USES
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.writing.written import WrittenFormulation
from fsl_jax.studies.planning.formulations import HEAD, WAYS
from fsl_jax.studies.planning.templates import TEMPLATES
from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.tasks.registry import find_task
from fsl_jax.tasks.task import Metric, Task

WIDTH = 110
FAMILY = "Llama"
"""The family whose formulations are described, since a decoder can be asked in every way."""


def sections() -> str:
    """Make a section for each task."""
    return "\n\n".join(map(section, WAYS))


def section(name: str) -> str:
    """Make the section of a task.

    Args:
      name: the name of the task.

    Returns:
      Lines of Markdown without a line break at the end.
    """
    task, base = find_task(name), models()[FAMILY]
    asked = {way: formulation_of(Combination(name, way, FAMILY), base) for way in WAYS[name]}
    about = f"{task.description[0].upper()}{task.description[1:]}: {USES[name].examples}."
    points = [
        f"Columns: {_roles(task, optional=False)}. May be missing: {_roles(task, optional=True)}.",
        f"Values: {USES[name].values}",
        *(_way(task, way, formulation) for way, formulation in asked.items()),
        f"Metrics: {_metrics(task.metrics)}. {_measures(asked)}",
    ]
    return "\n".join(
        [
            f"### `{name}`",
            "",
            _wrapped(about),
            "",
            _fenced("json", _row(name)),
            "",
            *(_wrapped(point, "- ") for point in points),
            "",
            _fenced("sh", _command(name)),
        ]
    )


def _row(name: str) -> str:
    """Return the first row of a sample, as it stands in the file."""
    return sample_file(name).read_text(encoding="utf-8").partition("\n")[0]


def _roles(task: Task, *, optional: bool) -> str:
    """List the roles that may be missing, or the others, with the usual names of their columns."""
    return "; ".join(
        f"`{role}` ({', '.join(names) or 'named by `--columns`'})"
        for role, names in task.roles.items()
        if (role in task.optional) == optional
    )


def _way(task: Task, way: str, formulation: Formulation) -> str:
    """Say how a formulation asks, in the words of its class."""
    says = f"`{way}`: {(type(formulation).__doc__ or '').partition(chr(10))[0]}"
    if isinstance(formulation, TemplateFormulation | WrittenFormulation):
        prompt = TEMPLATES[task.name].replace("\n", "\\n")
        says += f" The prompt is `{prompt}`"
        written = isinstance(formulation, WrittenFormulation)
        says += f", and the answer to the row above is `{_answer(task)}`." if written else "."
    return says


def _answer(task: Task) -> str:
    """Write the answer of the row that is shown."""
    shown, dataset = json.loads(_row(task.name)), sample(task.name)
    examples = (*dataset.train, *dataset.test)
    return next(task.written(example) for example in examples if example.row == shown)


def _metrics(metrics: Iterable[Metric]) -> str:
    headline, *others = (metric.title for metric in metrics)
    return ", ".join([f"**{headline}**", *others])


def _measures(asked: Mapping[str, Formulation]) -> str:
    """Say what selects inside the program, in each way to ask."""
    ways: dict[str, list[str]] = {}
    for way, formulation in asked.items():
        ways.setdefault(metric_title(formulation.objective.measure_name), []).append(f"`{way}`")
    listed = "; ".join(f"{measure} ({', '.join(of)})" for measure, of in ways.items())
    return f"Selects inside the program: {listed}."


def _command(name: str) -> str:
    """Write a command that studies the sample itself."""
    file = sample_file(name)
    columns = ",".join(
        f"{role}:{names if isinstance(names, str) else '+'.join(names)}"
        for role, names in COLUMNS.get(name, {}).items()
    )
    flags = [
        f"--models={'minilm-l6' if HEAD in WAYS[name] else 'smollm2-135m'}",
        "--methods=lora",
        "--shots=2",
        f"--dataset={file.relative_to(file.parents[3]).as_posix()}",
        *([f"--columns={columns}"] if columns else []),
        f"--output=results/{name}",
    ]
    return " ".join(["python -m experiments.study", *flags])


def _fenced(language: str, line: str) -> str:
    return f"```{language}\n{line}\n```"


def _wrapped(text: str, mark: str = "") -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )

"""Find the best way of using a pretrained language model with a few labelled examples.

    python -m experiments.study --flagfile=experiments/configs/bbc_headlines_quick.flags

compares methods on the same few-shot splits, prints a table, and writes `report.md`,
`summary.json`, `results.jsonl`, plots and the selected adapters to --output. If repeated, it
continues where it was stopped, and does nothing once it has finished. With --dry_run it prints what
it would do.
"""

import dataclasses
import json
import shlex
import sys

from experiments import command, session
from experiments.shared_flags import OUTPUT_DIRECTORY, SessionFlags
from fsl_jax.studies.planning.flag_field import flag_field, same_flag
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.options import RunOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyFlags(SessionFlags):
    """The flags that do not decide the results of a study."""

    output: str = flag_field(OUTPUT_DIRECTORY, "results/study")
    checkpoint_seconds: float = same_flag(RunOptions, "checkpoint_seconds")
    memory_limit_gib: float = flag_field(
        "Memory that a program may take on a device; if 0, most of what the device has.", 0.0
    )
    dry_run: bool = flag_field("Print programs, memory and time; run nothing.", False)
    forecast: bool = flag_field(
        "Print about how many seconds each program takes, as JSON; compile nothing.", False
    )


def main(config: StudyConfig, flags: StudyFlags) -> None:
    """Run the study, or only say what it would do."""
    from fsl_jax.processes import is_first

    if flags.forecast:
        text = _forecast(config, flags)
    elif flags.dry_run:
        text = _dry_run(config, flags)
    else:
        _run(config, flags)
        return
    if is_first():
        print(text)


def _forecast(config: StudyConfig, flags: StudyFlags) -> str:
    from fsl_jax.studies.forecasting.forecast import program_seconds

    return json.dumps(program_seconds(config, flags.output))


def _dry_run(config: StudyConfig, flags: StudyFlags) -> str:
    from fsl_jax.studies.forecasting.dry_run import dry_run

    return dry_run(config, flags.output, _options(flags))


def _run(config: StudyConfig, flags: StudyFlags) -> None:
    from rich.console import Console

    from fsl_jax.processes import is_first
    from fsl_jax.studies.reporting.table import terminal_table
    from fsl_jax.studies.study import run_study

    rows = run_study(config, flags.output, _options(flags))
    if is_first():
        Console().print(terminal_table(rows))
        print(f"\nThe report is in {flags.output.rstrip('/')}/report.md")


def _options(flags: StudyFlags) -> RunOptions:
    return RunOptions(
        checkpoint_seconds=flags.checkpoint_seconds,
        memory_limit=int(flags.memory_limit_gib * 2**30),
        command=shlex.join(["python", "-m", "experiments.study", *sys.argv[1:]]),
        flagfile=session.flagfile("models"),
    )


if __name__ == "__main__":
    command.run(main, StudyConfig, StudyFlags)

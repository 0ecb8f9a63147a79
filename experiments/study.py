"""Find the best way of using a pretrained language model with a few labelled examples.

    python -m experiments.study --flagfile=experiments/configs/bbc_headlines_quick.flags

compares methods on the same few-shot splits, prints a table, and writes `report.md`,
`summary.json`, `results.jsonl`, plots and the selected adapters to --output. If repeated, it
continues where it was stopped. Once it has finished, it only checks the files, and makes lost ones
again. With --dry_run it prints what it would do.
"""

import dataclasses
import json
import shlex
import sys
from pathlib import Path

from experiments import command, session
from experiments.shared_flags import OUTPUT_DIRECTORY, DatasetFlags, SessionFlags, bytes_of
from fsl_jax.ranges import real
from fsl_jax.studies.planning.flag_field import flag_field, same_flag
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.options import RunOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyFlags(SessionFlags):
    """The flags that do not decide the results of a study."""

    output: str = flag_field(OUTPUT_DIRECTORY, "results/study")
    checkpoint_seconds: float = same_flag(RunOptions, "checkpoint_seconds")
    memory_limit_gib: float = flag_field(
        "Memory that a program may take on a device; if 0, most of what the device has; if inf, as "
        "much as it wants.",
        0.0,
        real(0, on_host=True),
    )
    max_unfolded_gib: float = same_flag(DatasetFlags, "max_unfolded_gib")
    dry_run: bool = flag_field("Print programs, memory and time; run nothing.", False)
    forecast: bool = flag_field(
        "Print about how many seconds each program takes, as JSON; compile nothing. The sum is on "
        "standard error.",
        False,
    )


def usage() -> str:
    """Return how to start a study, for a command without any flag."""
    configs = sorted((Path(__file__).parent / "configs").glob("*.flags"))
    presets = [path.stem for path in configs if "--dataset=" in path.read_text(encoding="utf-8")]
    command = "python -m experiments.study"
    return (
        "no flags are given. Start a preset, or name models, data and methods:\n"
        f"  {command} --flagfile=experiments/configs/bbc_headlines_quick.flags\n"
        f"  {command} --models=minilm-l6 --dataset=my.csv --methods=lora --output=results/my\n"
        f"The presets are {' and '.join(presets)}. With --dry_run, a study only prints what it "
        "would do. --help lists all flags"
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
    from fsl_jax.processes import is_first
    from fsl_jax.studies.forecasting.duration import duration
    from fsl_jax.studies.forecasting.forecast import program_seconds

    seconds = program_seconds(config, flags.output, _options(flags))
    if is_first():
        total = duration(sum(seconds.values()))
        print(f"About {total} in all. For each program, in seconds:", file=sys.stderr)
    return json.dumps(seconds)


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
        memory_limit=bytes_of(flags.memory_limit_gib),
        max_unfolded=bytes_of(flags.max_unfolded_gib),
        command=shlex.join(["python", "-m", "experiments.study", *sys.argv[1:]]),
        flagfile=session.flagfile("models"),
    )


if __name__ == "__main__":
    command.run(main, StudyConfig, StudyFlags, usage=usage)

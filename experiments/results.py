r"""Run several studies and write their results into one page.

Example: `python -m experiments.results --data_dir=data`, with `data/sst2` and `data/trec`.

By default it runs every method on every data set. A study is a data set with flagfiles, and runs as
in `python -m experiments.study`. The same command continues where it was stopped, and skips
finished studies.
"""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

from experiments import command
from fsl_jax.errors import InputError
from fsl_jax.outputs.names import directory_name, file_system_key
from fsl_jax.studies.planning.flag_field import flag_field

CONFIGS = Path(__file__).parent / "configs"
TITLE = "# Results"
TABLES = RESULTS, RANKING = ("results", "ranking")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultsFlags:
    """The flags of this script."""

    studies: tuple[str, ...] = flag_field(
        "Data sets, each with its flagfiles after a colon: paths joined by plus signs, or names of "
        "files in experiments/configs.",
        (
            "bbc_headlines:results_encoder+texts_bbc_headlines",
            "trec:results_encoder+texts_trec",
            "sst2:results_encoder+texts_sst2",
            "sst2:results_language_model",
        ),
    )
    data_dir: str = flag_field("The directory that has the data sets which are directories.")
    output: str = flag_field("Directory of the studies.", "results/methods")
    table: str = flag_field(
        "What the table is: results has a line for each method, and a column for each data set; "
        "ranking has a line for each method on each data set, and trivial answers among them.",
        RESULTS,
        choices=TABLES,
    )
    page: str = flag_field(
        "The page; if it has the marks <!-- results --> and <!-- end of results -->, with the name "
        "of the table, the table goes between them.",
        "RESULTS.md",
    )


def main(flags: ResultsFlags) -> None:
    """Run the studies one after the other, then write the page."""
    from fsl_jax.outputs.checks import require_plain_file
    from fsl_jax.outputs.lock import hold_directory, hold_path

    _require_distinct(flags)
    require_plain_file(flags.page)
    with hold_directory(flags.output), hold_path(flags.page):
        _run_studies(flags)


def _run_studies(flags: ResultsFlags) -> None:
    commands = [_command(text, flags) for text in flags.studies]
    _check_page(Path(flags.page), *_marks(flags.table))
    left = _time_left(commands, flags)
    for number, arguments in enumerate(commands, start=1):
        print(_progress(number, flags.studies, left), flush=True)
        begin = time.monotonic()
        status = _status(arguments)
        if status:
            sys.exit(status)
        left.finish_one(time.monotonic() - begin)
    _write_page(flags)


def _status(arguments: list[str]) -> int:
    """Run a command, and return its exit status once it has ended, also after Ctrl-C."""
    process, interrupted = subprocess.Popen(arguments), False
    while True:
        try:
            status = process.wait()
            break
        except KeyboardInterrupt:
            # The command has got the same signal, and saves its work before it ends.
            interrupted = True
    if interrupted and not status:
        raise KeyboardInterrupt
    return status


def _time_left(commands: list[list[str]], flags: ResultsFlags):
    """Estimate the time that the unfinished studies need."""
    from fsl_jax.studies.forecasting.forecast import TimeLeft, seconds_left

    print("Counting what there is to do", flush=True)
    seconds = []
    for text, arguments in zip(flags.studies, commands, strict=True):
        output = _directory(text, flags)
        done = (output / "report.md").exists()
        seconds.append(0.0 if done else seconds_left(_forecast(arguments), output))
    return TimeLeft(seconds)


def _forecast(arguments: list[str]) -> dict[str, float]:
    # Use a separate process: the studies need the devices, and a process keeps those it has used.
    done = subprocess.run(
        [*arguments, "--forecast"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def _progress(number: int, studies: tuple[str, ...], left) -> str:
    text = f"\nStudy {number} of {len(studies)}: {studies[number - 1]}"
    if not left.seconds:
        return text
    guess = "" if left.measured else ", by a first guess"
    return f"{text}; about {left.seconds / 60:.0f} min to go{guess}"


def _command(text: str, flags: ResultsFlags) -> list[str]:
    dataset, configs = _parts(text)
    files = [Path(name) if Path(name).is_file() else CONFIGS / f"{name}.flags" for name in configs]
    missing = [repr(name) for name, file in zip(configs, files, strict=True) if not file.is_file()]
    if missing:
        known = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.flags")))
        raise InputError(
            f"--studies: in {text!r}, no flagfile and none of the presets is {', '.join(missing)}. "
            f"The presets: {known}"
        )
    local = Path(flags.data_dir) / dataset
    return [
        sys.executable,
        "-m",
        "experiments.study",
        # If several files set a flag, the last file counts.
        *(f"--flagfile={file}" for file in files),
        f"--dataset={local if local.is_dir() else dataset}",
        f"--output={_directory(text, flags)}",
    ]


def _directory(text: str, flags: ResultsFlags) -> Path:
    dataset, configs = _parts(text)
    names = [Path(dataset).name, *(Path(config).stem for config in configs)]
    return Path(flags.output) / directory_name("-".join(names))


def _require_distinct(flags: ResultsFlags) -> None:
    """Raise an error if two studies would be in the same directory."""
    owners: dict[str, str] = {}
    for text in flags.studies:
        directory = _directory(text, flags)
        other = owners.setdefault(file_system_key(str(directory)), text)
        if other != text:
            raise InputError(
                f"--studies: {other!r} and {text!r} would both be in {directory}. Give the "
                "flagfiles other names"
            )


def _parts(text: str) -> tuple[str, list[str]]:
    """Split a study into its data set, and its flagfiles or their names."""
    dataset, _, configs = text.partition(":")
    return dataset, [configs] if Path(configs).is_file() else configs.split("+")


def _marks(table: str) -> tuple[str, str]:
    return f"<!-- {table} -->", f"<!-- end of {table} -->"


def _check_page(page: Path, begin: str, end: str) -> None:
    from fsl_jax.pages import require_marks

    if page.exists():
        require_marks(page, begin, end)


def _write_page(flags: ResultsFlags) -> None:
    from fsl_jax.files import write_atomically
    from fsl_jax.pages import write_between

    page, table = Path(flags.page), _table(flags)
    begin, end = _marks(flags.table)
    if not page.exists():
        write_atomically(page, f"{TITLE}\n\n{begin}\n{end}\n")
    write_between(page, begin, end, table)
    print(f"\n{table}\n\nThe table is in {page}")


def _table(flags: ResultsFlags) -> str:
    """Make the table from the files of all studies."""
    from fsl_jax.studies.reporting.comparison import comparison_table
    from fsl_jax.studies.reporting.ranking import ranking_table

    if flags.table == RANKING:
        return ranking_table([_finished_study(text, flags) for text in flags.studies])
    studies: dict[str, list] = {}
    for text in flags.studies:
        studies.setdefault(_parts(text)[0], []).extend(_rows(text, flags))
    return comparison_table(studies)


def _rows(text: str, flags: ResultsFlags) -> list:
    from fsl_jax.studies.reporting.summary import read_summary

    return read_summary(_directory(text, flags) / "summary.json")


def _finished_study(text: str, flags: ResultsFlags):
    """Read the rows of a study, and what trivial answers score on its data."""
    from etils import epath

    from fsl_jax.studies.planning.plan_file import read_plan
    from fsl_jax.studies.reporting.ranking import FinishedStudy

    directory = _directory(text, flags)
    plan = read_plan(epath.Path(directory)) or {}
    if "baselines" not in plan:
        raise InputError(
            f"{directory}: an earlier version of fsl_jax made this study, and kept no scores of "
            "trivial answers. Give another --output, or leave the study out"
        )
    return FinishedStudy(_parts(text)[0], _rows(text, flags), plan["baselines"])


if __name__ == "__main__":
    command.run(main, ResultsFlags, uses_jax=False)

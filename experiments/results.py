r"""Several studies into one page, by default every method on every data set.

Example: `python -m experiments.results --data_dir=data`, where `data/sst2` and `data/trec` lie.

A study is a data set and flagfiles, done as `python -m experiments.study` does it. Stopped, and
given again, it goes on where it was; a study that has finished is not done again.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

from experiments import session

_STUDIES = flags.DEFINE_list(
    "studies",
    [
        "bbc_headlines:results_encoder+texts_bbc_headlines",
        "trec:results_encoder+texts_trec",
        "sst2:results_encoder+texts_sst2",
        "sst2:results_language_model",
    ],
    "Data sets, each with what is asked of it: flagfiles joined by plus signs, or names of those "
    "in experiments/configs.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where the data sets lie that are directories.", required=True
)
_OUTPUT = flags.DEFINE_string("output", "results/methods", "Directory of the studies.")
_PAGE = flags.DEFINE_string(
    "page", "RESULTS.md", "The page; where it has marks, the table goes between them."
)

CONFIGS = Path(__file__).parent / "configs"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
TITLE = "# Results"


def main(arguments: list[str]) -> None:
    """The studies one after the other, then the page."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    with session.reporting_errors():
        commands = [_command(text) for text in _STUDIES.value]
        _check_page()
        left = _time_left(commands)
        for number, command in enumerate(commands, start=1):
            print(_where(number, left), flush=True)
            begin = time.monotonic()
            status = subprocess.run(command, check=False).returncode
            if status:
                sys.exit(status)
            left.finish_one(time.monotonic() - begin)
        _write_page()


def _time_left(commands: list[list[str]]):
    """What the studies are taken to need."""
    from fsl_jax.studies.forecasting.forecast import TimeLeft, seconds_left

    print("Counting what there is to do", flush=True)
    left = []
    for text, command in zip(_STUDIES.value, commands, strict=True):
        output = _directory(text)
        done = (output / "report.md").exists()
        left.append(0.0 if done else seconds_left(_forecast(command), output))
    return TimeLeft(left)


def _forecast(command: list[str]) -> dict[str, float]:
    # In a process of its own: the studies need the devices, and a process keeps those it has used.
    done = subprocess.run([*command, "--forecast"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout)


def _where(number: int, left) -> str:
    text = f"\nStudy {number} of {len(_STUDIES.value)}: {_STUDIES.value[number - 1]}"
    if not left.seconds:
        return text
    guess = "" if left.measured else ", by a first guess"
    return f"{text}; about {left.seconds / 60:.0f} min to go{guess}"


def _command(text: str) -> list[str]:
    from fsl_jax.errors import InputError

    dataset, configs = _parts(text)
    files = [Path(each) if Path(each).is_file() else CONFIGS / f"{each}.flags" for each in configs]
    missing = [repr(each) for each, file in zip(configs, files, strict=True) if not file.is_file()]
    if missing:
        known = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.flags")))
        raise InputError(
            f"--studies: in {text!r}, no flagfile and none of the presets is {', '.join(missing)}. "
            f"The presets: {known}"
        )
    local = Path(_DATA_DIR.value) / dataset
    return [
        sys.executable,
        "-m",
        "experiments.study",
        # Of a flag that several name, the last one counts.
        *(f"--flagfile={file}" for file in files),
        f"--dataset={local if local.is_dir() else dataset}",
        f"--output={_directory(text)}",
    ]


def _directory(text: str) -> Path:
    dataset, configs = _parts(text)
    names = [Path(dataset).name, *(Path(config).stem for config in configs)]
    return Path(_OUTPUT.value) / "-".join(names)


def _parts(text: str) -> tuple[str, list[str]]:
    """The data set, and the flagfiles or their names."""
    dataset, _, configs = text.partition(":")
    return dataset, [configs] if Path(configs).is_file() else configs.split("+")


def _check_page() -> None:
    from fsl_jax.pages import require_marks

    page = Path(_PAGE.value)
    if page.exists():
        require_marks(page, BEGIN, END)


def _write_page() -> None:
    from fsl_jax.files import write_atomically
    from fsl_jax.pages import write_between
    from fsl_jax.studies.reporting.comparison import comparison_table
    from fsl_jax.studies.reporting.summary import read_summary

    studies: dict[str, list] = {}
    for text in _STUDIES.value:
        rows = read_summary(_directory(text) / "summary.json")
        studies.setdefault(text.partition(":")[0], []).extend(rows)
    page, table = Path(_PAGE.value), comparison_table(studies)
    if not page.exists():
        write_atomically(page, f"{TITLE}\n\n{BEGIN}\n{END}\n")
    write_between(page, BEGIN, END, table)
    print(f"\n{table}\n\nThe table is in {page}")


if __name__ == "__main__":
    app.run(main)

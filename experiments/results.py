r"""Several studies into one page, by default every method on every data set.

Example: `python -m experiments.results --data_dir=data`, where `data/sst2` and `data/trec` lie.

A study is a data set and a flagfile, done as `python -m experiments.study` does it. Stopped, and
given again, it goes on where it was; a study that has finished is not done again.
"""

import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

from experiments import session

_STUDIES = flags.DEFINE_list(
    "studies",
    [
        "bbc_headlines:results_encoder",
        "trec:results_encoder",
        "sst2:results_encoder",
        "sst2:results_language_model",
    ],
    "Data sets, each with what is asked of it: a flagfile, or the name of one in "
    "experiments/configs.",
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
        begin = time.monotonic()
        for done, command in enumerate(commands):
            print(_where(done, len(commands), time.monotonic() - begin), flush=True)
            status = subprocess.run(command, check=False).returncode
            if status:
                sys.exit(status)
        _write_page()


def _where(done: int, count: int, seconds: float) -> str:
    text = f"\nStudy {done + 1} of {count}: {_STUDIES.value[done]}"
    if not done:
        return text
    left = seconds / done * (count - done) / 60
    return f"{text}; about {left:.0f} min to go, if the others take as long as those before"


def _command(text: str) -> list[str]:
    from fsl_jax.errors import InputError

    dataset, _, config = text.partition(":")
    flagfile = Path(config) if Path(config).is_file() else CONFIGS / f"{config}.flags"
    if not flagfile.is_file():
        known = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.flags")))
        raise InputError(
            f"--studies: in {text!r}, {config!r} is no flagfile and none of the presets: {known}"
        )
    local = Path(_DATA_DIR.value) / dataset
    return [
        sys.executable,
        "-m",
        "experiments.study",
        f"--flagfile={flagfile}",
        f"--dataset={local if local.is_dir() else dataset}",
        f"--output={_directory(text)}",
    ]


def _directory(text: str) -> Path:
    dataset, _, config = text.partition(":")
    return Path(_OUTPUT.value) / f"{dataset}-{Path(config).stem}"


def _write_page() -> None:
    from fsl_jax.files import write_atomically
    from fsl_jax.studies.comparison import comparison_table
    from fsl_jax.studies.summary import read_summary

    studies: dict[str, list] = {}
    for text in _STUDIES.value:
        rows = read_summary(_directory(text) / "summary.json")
        studies.setdefault(text.partition(":")[0], []).extend(rows)
    page = Path(_PAGE.value)
    before_page = page.read_text() if page.exists() else f"{TITLE}\n\n{BEGIN}{END}\n"
    before, after = before_page.partition(BEGIN)[0], before_page.partition(END)[2]
    table = comparison_table(studies)
    write_atomically(page, f"{before}{BEGIN}\n\n{table}\n\n{END}{after}")
    print(f"\n{table}\n\nThe table is in {page}")


if __name__ == "__main__":
    app.run(main)

"""Count the words of a file.

This file is a command, and tests run it as a user would: a dataclass, `main` and one call are all
that a command needs.
"""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from experiments import command, session
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.flag_field import flag_field


@dataclasses.dataclass(frozen=True)
class CountFlags:
    path: str = flag_field("The file to read.")
    at_least: int = flag_field("Leave out words with fewer characters.", 1)


def main(flags: CountFlags) -> None:
    path = pathlib.Path(flags.path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file. Give one with --path.")
    words = [word for word in path.read_text().split() if len(word) >= flags.at_least]
    print(f"{len(words)} words", end=";")
    print(session.flagfile("path"), end="")


if __name__ == "__main__":
    command.run(main, CountFlags)


def run(*arguments: str) -> tuple[int, str, str]:
    """Run this file as a script: status, output, errors."""
    root = str(pathlib.Path(command.__file__).parents[1])
    process = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, "PYTHONPATH": root, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout, process.stderr


@pytest.fixture
def text_file(tmp_path):
    (tmp_path / "text.txt").write_text("a few words of text")
    return tmp_path / "text.txt"


def test_main_gets_the_dataclass_that_the_flags_set(text_file):
    status, out, err = run(f"--path={text_file}", "--at_least=4")
    assert status == 0, err
    assert out == f"2 words;--at_least=4\n--path={text_file}\n"


def test_the_help_shows_the_docstring_of_the_file_and_its_flags():
    _, out, _ = run("--help")
    assert "Count the words of a file." in out
    assert "--at_least: Leave out words with fewer characters." in out
    assert "(default: '1')" in out
    assert "distributed" not in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--path=nowhere.txt"], session.REFUSED, "error: nowhere.txt: there is no such file."),
        (["--path=text.txt", "more"], 1, "unexpected arguments: more"),
        ([], 1, "Flag --path must have a value other than None"),
        (["--path=text.txt", "--at_least=few"], 1, "flag --at_least=few"),
    ],
)
def test_a_command_that_cannot_run_ends_with_a_message(arguments, status, message):
    found, out, err = run(*arguments)
    assert found == status
    assert message in out + err
    assert "Traceback" not in err
    assert "words;" not in out


def test_no_script_imports_jax_before_its_main():
    """Otherwise --help would take seconds."""
    scripts = [path.stem for path in pathlib.Path(command.__file__).parent.glob("*.py")]
    assert {"study", "evaluate"} <= set(scripts)
    imports = "".join(f"import experiments.{name}\n" for name in scripts if name != "__init__")
    code = f"{imports}import sys\nassert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

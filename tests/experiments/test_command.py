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
from fsl_jax.errors import InputError, problems_error
from fsl_jax.ranges import whole
from fsl_jax.studies.planning.flag_field import flag_field


@dataclasses.dataclass(frozen=True)
class CountFlags:
    path: str = flag_field("The file to read.")
    at_least: int = flag_field("Leave out words with fewer characters.", 1, whole(1))
    loud: bool = flag_field("Print in capitals.", False)


def main(flags: CountFlags) -> None:
    path = pathlib.Path(flags.path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file. Give one with --path.")
    words = [word for word in path.read_text().split() if len(word) >= flags.at_least]
    print(f"{len(words)} words", end=";")
    print(session.flagfile("path"), end="")


if __name__ == "__main__":
    command.run(main, CountFlags)


def run(*arguments: str | bytes) -> tuple[int, str, str]:
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
    assert out == f"2 words;--at_least=4\n--noloud\n--path={text_file}\n"


def test_the_help_shows_the_docstring_of_the_file_and_its_flags():
    _, out, _ = run("--help")
    assert "Count the words of a file." in out
    assert "--at_least: Leave out words with fewer characters. Accepts 1 or more." in out
    assert "(default: '1')" in out
    assert "distributed" not in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--path=nowhere.txt"], session.REFUSED, "error: nowhere.txt: there is no such file."),
        (["--path=text.txt", "more"], 2, "error: unexpected arguments: more"),
        (["--path=text.txt", "--at_most=4"], 2, "unknown flag --at_most. Did you mean --at_least?"),
        (["--path=text.txt", "--AT_LEAST=4"], 2, "Did you mean --at_least?"),
        (["--path=text.txt", "--al=4"], 2, "Did you mean --at_least?"),
        (
            ["--path=text.txt", "--at_least=0"],
            2,
            "at_least = 0: expected a whole number, 1 or more",
        ),
        (["--path=text.txt", "--noloud=true"], 2, "error: --noloud=true does not take an argument"),
        (
            ["--flagfile=nowhere.flags"],
            2,
            "error: --flagfile: nowhere.flags: there is no such file",
        ),
        ([], 2, "error: give --path. --help describes the flags"),
        (["--path=text.txt", "--at_least=few"], 2, "error: flag --at_least=few"),
    ],
)
def test_a_command_that_cannot_run_ends_with_a_message(arguments, status, message):
    found, out, err = run(*arguments)
    assert found == status
    assert message in out + err
    assert "Traceback" not in err
    assert "words;" not in out


def test_the_short_form_of_help_is_the_same():
    assert run("-h") == run("--help")


def test_an_argument_that_is_not_utf_8_is_refused():
    status, _, err = run(b"--path=caf\xe9")
    assert (status, "is not UTF-8" in err, "Traceback" in err) == (2, True, False)


def test_a_script_may_say_how_to_start_it(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        command._parse((CountFlags,), lambda: "name a file:\n  count --path=FILE", ["script"])
    assert ended.value.code == session.REFUSED
    assert capsys.readouterr().err == "error: name a file:\n  count --path=FILE\n"


def test_the_problems_of_all_dataclasses_are_told_at_once(monkeypatch):
    def parsed(dataclass):
        raise problems_error("values out of range:", [f"{dataclass} = 0"])

    monkeypatch.setattr(command.dataclass_flags, "parsed", parsed)
    with pytest.raises(InputError) as caught:
        command._parsed(("first", "second"))
    assert caught.value.problems == ("first = 0", "second = 0")


def test_no_script_imports_jax_before_its_main():
    """Otherwise --help would take seconds."""
    scripts = [path.stem for path in pathlib.Path(command.__file__).parent.glob("*.py")]
    assert {"study", "evaluate"} <= set(scripts)
    imports = "".join(f"import experiments.{name}\n" for name in scripts if name != "__init__")
    code = f"{imports}import sys\nassert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Run commands: files with a dataclass whose fields are the flags, and `main`, which takes it.

    @dataclasses.dataclass(frozen=True)
    class CountFlags:
        path: str = flag_field("The file to read.")


    def main(flags: CountFlags) -> None:
        print(len(pathlib.Path(flags.path).read_text().split()))


    if __name__ == "__main__":
        command.run(main, CountFlags)

`python -m experiments.FILE --help` shows the docstring of the file and the flags. Modules that need
JAX are imported inside `main`, so that the help is fast and JAX is configured first.
"""

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags

from experiments import dataclass_flags, flagfiles, interrupts, session, terminal
from fsl_jax.errors import InputError, nearest_names, problems_error

# The flags belong to the running script, and its --help lists them.
flags.disclaim_key_flags()

ADVICE = "Write flags as --name=value"


def run(
    main: Callable[..., None],
    *dataclasses: type,
    uses_jax: bool = True,
    advice: str = ADVICE,
    usage: Callable[[], str] | None = None,
) -> None:
    """Define the flags of a script, parse them, and call its `main`.

    Fields with the names of parameters of `session.start` configure JAX. An error that a user can
    correct is printed without a traceback.

    Args:
      main: takes an instance of each dataclass.
      *dataclasses: the dataclasses whose fields, made by `flag_field`, are the flags.
      uses_jax: False if the script must leave the devices to other processes.
      advice: the text to print if an argument is not a flag.
      usage: returns the text to print if there are no arguments; None if the script needs none.
    """
    terminal.print_everything()
    for dataclass in dataclasses:
        dataclass_flags.define(dataclass)
    app.define_help_flags()
    flags.DEFINE_alias("h", "help", module_name=app.__name__)
    app.run(
        functools.partial(_call, main, dataclasses, uses_jax, advice),
        flags_parser=functools.partial(_parse, dataclasses, usage),
    )


def _parse(
    dataclasses: tuple[type, ...], usage: Callable[[], str] | None, arguments: list[str]
) -> list[str]:
    """Parse flags, and return the arguments that are none, after the script's name."""
    with session.reporting_errors():
        if usage is not None and len(arguments) == 1:
            raise InputError(usage())
        # The report shows these arguments.
        sys.argv = list(map(_decoded, arguments))
        script, *rest = sys.argv
        expanded = flagfiles.expand(rest)
        try:
            return flags.FLAGS([script, *expanded])
        except flags.UnrecognizedFlagError as error:
            raise _unknown_flag(error.flagname, dataclasses) from error
        # absl raises a plain ValueError for a value behind --noNAME.
        except (flags.Error, ValueError) as error:
            raise InputError(f"{_problem(error)}. --help describes the flags") from error


def _problem(error: Exception) -> str:
    """Return absl's message, in other words where flags are not given."""
    missing = re.findall(r"Flag (--\w+) must have a value other than None", str(error))
    return f"give {' and '.join(missing)}" if missing else str(error)


def _decoded(argument: str) -> str:
    """Return an argument as the UTF-8 that it is, whatever the locale says."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError as error:
        raise InputError(f"the argument {argument!a} is not UTF-8") from error


def _unknown_flag(name: str, dataclasses: tuple[type, ...]) -> InputError:
    known = [name for dataclass in dataclasses for name in dataclass_flags.names(dataclass)]
    nearest = " or ".join(f"--{each}" for each in nearest_names(name, [*known, "help", "flagfile"]))
    hint = f" Did you mean {nearest}?" if nearest else ""
    return InputError(f"unknown flag --{name}.{hint} --help lists all flags")


def _call(
    main: Callable[..., None],
    dataclasses: tuple[type, ...],
    uses_jax: bool,
    advice: str,
    arguments: list[str],
) -> None:
    with session.reporting_errors():
        if len(arguments) > 1:
            raise InputError(f"unexpected arguments: {' '.join(arguments[1:])}. {advice}")
        parsed = _parsed(dataclasses)
        session.require_outputs(parsed)
        if uses_jax:
            session.start(**_start_arguments(parsed))
        interrupts.clean_up_first()
        main(*parsed)


def _parsed(dataclasses: tuple[type, ...]) -> list[Any]:
    """Make the dataclasses from the flags; raise one error with the problems of all of them."""
    parsed, refused = [], []
    for dataclass in dataclasses:
        try:
            parsed.append(dataclass_flags.parsed(dataclass))
        except InputError as error:
            refused.append(error)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        problems = [problem for error in refused for problem in error.problems or [str(error)]]
        raise problems_error("values out of range:", problems)
    return parsed


def _start_arguments(parsed: list[Any]) -> dict[str, Any]:
    names = inspect.signature(session.start).parameters
    return {name: vars(each)[name] for each in parsed for name in names if name in vars(each)}

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
from collections.abc import Callable
from typing import Any

from absl import app, flags

from experiments import dataclass_flags, session
from fsl_jax.errors import InputError

# The flags belong to the running script, and its --help lists them.
flags.disclaim_key_flags()


def run(
    main: Callable[..., None], *dataclasses: type, uses_jax: bool = True, advice: str = ""
) -> None:
    """Define the flags of a script, parse them, and call its `main`.

    Fields with the names of parameters of `session.start` configure JAX. An error that a user can
    correct is printed without a traceback.

    Args:
      main: takes an instance of each dataclass.
      *dataclasses: the dataclasses whose fields, made by `flag_field`, are the flags.
      uses_jax: False if the script must leave the devices to other processes.
      advice: the text to print if an argument is not a flag; absl's usual text if empty.
    """
    for dataclass in dataclasses:
        dataclass_flags.define(dataclass)
    app.run(functools.partial(_call, main, dataclasses, uses_jax, advice))


def _call(
    main: Callable[..., None],
    dataclasses: tuple[type, ...],
    uses_jax: bool,
    advice: str,
    arguments: list[str],
) -> None:
    unexpected = f"unexpected arguments: {' '.join(arguments[1:])}"
    if len(arguments) > 1 and not advice:
        raise app.UsageError(unexpected)
    with session.reporting_errors():
        if len(arguments) > 1:
            raise InputError(f"{unexpected}. {advice}")
        parsed = [dataclass_flags.parsed(dataclass) for dataclass in dataclasses]
        if uses_jax:
            session.start(**_start_arguments(parsed))
        main(*parsed)


def _start_arguments(parsed: list[Any]) -> dict[str, Any]:
    names = inspect.signature(session.start).parameters
    return {name: vars(each)[name] for each in parsed for name in names if name in vars(each)}

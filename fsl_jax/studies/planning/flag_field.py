r"""Fields of a dataclass that flags set: the help text and the choices stand beside the default.

    @dataclasses.dataclass(frozen=True)
    class CountFlags:
        path: str = flag_field("The file to read.")
        at_least: int = flag_field("Leave out words with fewer characters.", 1)

`experiments/dataclass_flags.py` defines the flags and makes the dataclass of what was parsed.
Nothing here imports JAX, so that `--help` is fast.
"""

import dataclasses
from typing import Any

from fsl_jax.errors import unknown_name

_METADATA = "flag"


@dataclasses.dataclass(frozen=True)
class Flag:
    r"""The facts about a flag that its field's name, type and default do not tell.

    Attributes:
      help: the help text.
      name: the flag's name; empty if it is the field's.
      choices: the values that are accepted; empty if every value is.
      kind: names the thing that is chosen, for the error of `require_choices`. A class that calls
        it checks its choices itself; if `kind` is empty, the command line's parser checks them.
      scoped: the value is a list whose entries may be for certain models and methods only; see
        `scoped_list`.
      repeated: the flag may be given several times, and each value is an entry of the field.
      escaped: `\n`, written as two characters, stands for a new line.
    """

    help: str
    name: str = ""
    choices: tuple[str, ...] = ()
    kind: str = ""
    scoped: bool = False
    repeated: bool = False
    escaped: bool = False


def flag_field(help: str, default: Any = dataclasses.MISSING, **more: Any) -> Any:
    """Return a field of a dataclass that a flag sets.

    Args:
      help: the help text of the flag.
      default: of the field; without one, the flag is required.
      **more: other attributes of `Flag`.

    Returns:
      What `dataclasses.field` returns.
    """
    return dataclasses.field(default=default, metadata={_METADATA: Flag(help, **more)})


def same_flag(dataclass: type, name: str, *, required: bool = False) -> Any:
    """Return a field like that of another dataclass: default, choices and help text are shared.

    Args:
      dataclass: the other dataclass.
      name: its field. The parser of the command line checks the choices of the new field.
      required: leave out the default, so that the new flag is required.

    Returns:
      What `dataclasses.field` returns.
    """
    (field,) = (each for each in dataclasses.fields(dataclass) if each.name == name)
    flag = dataclasses.replace(flag_of(field), kind="")
    default: Any = dataclasses.MISSING if required else field.default
    return dataclasses.field(default=default, metadata={_METADATA: flag})


def flag_of(field: dataclasses.Field) -> Flag:
    """Return the flag of a field that `flag_field` made."""
    return field.metadata[_METADATA]


def require_choices(config: Any) -> None:
    """Raise an error unless every value is one of its field's choices.

    Args:
      config: an instance of a dataclass whose fields `flag_field` made.

    Raises:
      InputError: a value is not among the choices; the nearest ones are named.
    """
    for field in dataclasses.fields(config):
        flag, value = flag_of(field), getattr(config, field.name)
        if flag.choices and value not in flag.choices:
            raise unknown_name(flag.kind or field.name, value, flag.choices)

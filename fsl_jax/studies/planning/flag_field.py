r"""Dataclass fields that flags set, with the help text and the choices beside the default.

    @dataclasses.dataclass(frozen=True)
    class CountFlags:
        path: str = flag_field("The file to read.")
        at_least: int = flag_field("Leave out words with fewer characters.", 1)

`experiments/dataclass_flags.py` defines the flags and makes the dataclass from the parsed flags.
Nothing here imports JAX, so that `--help` is fast.
"""

import dataclasses
from typing import Any

from fsl_jax.errors import unknown_name
from fsl_jax.ranges import Range, range_metadata

_METADATA = "flag"


@dataclasses.dataclass(frozen=True)
class Flag:
    r"""The facts about a flag besides its field's name, type and default.

    Attributes:
      help: the help text.
      name: the flag's name; empty if it is the same as the field's.
      choices: the accepted values; empty if every value is accepted.
      kind: the kind of thing that is chosen, for the error of `require_choices`, which the class
        then calls to check its choices. If `kind` is empty, the command-line parser checks them.
      scoped: True if the value is a list whose entries may be for certain models and methods only;
        see `scoped_list`.
      repeated: True if the flag may be given several times; each value is then an entry of the
        field.
      escaped: True if `\n`, written as two characters, means a new line.
    """

    help: str
    name: str = ""
    choices: tuple[str, ...] = ()
    kind: str = ""
    scoped: bool = False
    repeated: bool = False
    escaped: bool = False


def flag_field(
    help: str, default: Any = dataclasses.MISSING, accepted: Range | None = None, **more: Any
) -> Any:
    """Return a field of a dataclass that a flag sets.

    Args:
      help: the help text of the flag.
      default: the default of the field; without a default, the flag is required.
      accepted: the range of a number, or of the numbers in a list.
      **more: other attributes of `Flag`.

    Returns:
      The result of `dataclasses.field`.
    """
    flag = Flag(help, **more)
    metadata = {_METADATA: flag, **range_metadata(accepted, flag.name)}
    return dataclasses.field(default=default, metadata=metadata)


def same_flag(dataclass: type, name: str, *, required: bool = False) -> Any:
    """Return a field with the default, choices, range and help of another dataclass's field.

    Args:
      dataclass: the other dataclass.
      name: its field. The parser of the command line checks the choices of the new field.
      required: True leaves out the default, so that the new flag is required.

    Returns:
      The result of `dataclasses.field`.
    """
    (field,) = (each for each in dataclasses.fields(dataclass) if each.name == name)
    flag = dataclasses.replace(flag_of(field), kind="")
    default: Any = dataclasses.MISSING if required else field.default
    return dataclasses.field(default=default, metadata={**field.metadata, _METADATA: flag})


def flag_of(field: dataclasses.Field) -> Flag:
    """Return the flag of a field that `flag_field` made."""
    return field.metadata[_METADATA]


def require_choices(config: Any) -> None:
    """Raise an error unless every value is one of its field's choices.

    Args:
      config: an instance of a dataclass whose fields `flag_field` made.

    Raises:
      InputError: a value is not among the choices; the error names the nearest choices.
    """
    for field in dataclasses.fields(config):
        flag, value = flag_of(field), getattr(config, field.name)
        if flag.choices and value not in flag.choices:
            raise unknown_name(flag.kind or field.name, value, flag.choices)

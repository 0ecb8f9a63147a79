"""Define flags from a dataclass, and make the dataclass from the parsed flags."""

import dataclasses
import types
import typing
from collections.abc import Callable
from typing import Any

from absl import flags

from fsl_jax.errors import InputError
from fsl_jax.ranges import range_of, require_in_range
from fsl_jax.studies.planning.flag_field import Flag, flag_of

# The flags belong to the script that defines them, and its --help lists them.
flags.disclaim_key_flags()

_DEFINE: dict[type, Callable[..., Any]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_bool,
    tuple: flags.DEFINE_list,
}
_SCOPED = (
    "A list with commas; `model:`, `method:` or `model:method:` before an entry says what it is "
    "for."
)


def define(dataclass: type, values: flags.FlagValues = flags.FLAGS) -> None:
    """Define a flag for each field of a dataclass.

    The kind of flag follows the type of the field: `str`, `int`, `float`, `bool`, one of them or
    None, or a tuple of texts or of whole numbers. A tuple is a list with commas, whose empty
    entries are left out, unless its flag may be repeated.

    Args:
      dataclass: the dataclass; `flag_field` made its fields.
      values: the flag values in which the flags are defined.
    """
    kinds = typing.get_type_hints(dataclass)
    for field in dataclasses.fields(dataclass):
        flag, required = flag_of(field), field.default is dataclasses.MISSING
        name = _name(field)
        common: dict[str, Any] = {"flag_values": values, "required": required}
        default = None if required else _as_written(field.default, flag)
        if flag.choices and not flag.kind:
            flags.DEFINE_enum(name, default, flag.choices, flag.help, **common)
        elif flag.repeated:
            flags.DEFINE_multi_string(name, default, flag.help, **common)
        else:
            _DEFINE[_kind(kinds[field.name])](name, default, _help(field), **common)


def parsed(dataclass: type, values: flags.FlagValues = flags.FLAGS) -> Any:
    """Make a dataclass from its parsed flags.

    Args:
      dataclass: a dataclass for which `define` was called.
      values: the flag values in which its flags were defined.

    Returns:
      An instance of the dataclass.

    Raises:
      InputError: an entry of a list of whole numbers is not a whole number, or numbers are out of
        range.
    """
    kinds = typing.get_type_hints(dataclass)
    made = dataclass(
        **{
            field.name: _value(values[_name(field)].value, field, kinds[field.name])
            for field in dataclasses.fields(dataclass)
        }
    )
    require_in_range(made)
    return made


def names(dataclass: type) -> list[str]:
    """Return the names of a dataclass's flags."""
    return list(map(_name, dataclasses.fields(dataclass)))


def _name(field: dataclasses.Field) -> str:
    return flag_of(field).name or field.name


def _kind(annotation: Any) -> type:
    """Return the type without `| None`, and `tuple` for a tuple of texts or of whole numbers."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = (each for each in typing.get_args(annotation) if each is not type(None))
    return typing.get_origin(annotation) or annotation


def _help(field: dataclasses.Field) -> str:
    flag, accepted = flag_of(field), range_of(field)
    # The same format in which absl shows the choices that it checks itself.
    choices = f"<{'|'.join(flag.choices)}>: " if flag.choices else ""
    bounds = f" Accepts {accepted.bounds}." if accepted and accepted.bounds else ""
    return f"{choices}{flag.help}{bounds}{' ' + _SCOPED if flag.scoped else ''}"


def _as_written(default: Any, flag: Flag) -> Any:
    """Return a default as it is written on the command line."""
    if isinstance(default, tuple):
        return [_as_written(str(entry), flag) for entry in default]
    return default.replace("\n", "\\n") if flag.escaped and default is not None else default


def _value(value: Any, field: dataclasses.Field, annotation: Any) -> Any:
    flag = flag_of(field)
    if isinstance(value, list):
        texts = [_unescaped(entry, flag) for entry in value if entry or flag.repeated]
        is_numbers = typing.get_args(annotation)[0] is int
        return _whole_numbers(_name(field), value) if is_numbers else tuple(texts)
    return _unescaped(value, flag)


def _unescaped(value: Any, flag: Flag) -> Any:
    return value.replace("\\n", "\n") if flag.escaped and value is not None else value


def _whole_numbers(name: str, entries: list[str]) -> tuple[int, ...]:
    try:
        return tuple(int(entry) for entry in entries)
    except ValueError as error:
        raise InputError(f"--{name}: expected whole numbers, found {entries}") from error

"""All methods by name, and reading and writing methods in flags, such as `lora(rank=4)`."""

import ast
import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import Any

from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.methods.bottleneck import BottleneckAdapter
from fsl_jax.adapt.methods.full import Full
from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.joined import Joined
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.ln_tuning import LNTuning
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.adapt.methods.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.methods.prompted import InContext, ZeroShot
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.methods.vera import VeRA
from fsl_jax.errors import InputError, unknown_name

METHODS: dict[str, Any] = {
    method.name: method
    for method in (
        Full,
        LinearProbe,
        TopLayers,
        BitFit,
        LNTuning,
        LoRA,
        VeRA,
        AdaLoRA,
        IA3,
        BottleneckAdapter,
        PromptTuning,
        PTuning,
        PrefixTuning,
        PTuningV2,
        ZeroShot,
        InContext,
    )
}
"""The class of each method by its name."""

TRAINED_METHODS = {name: method for name, method in METHODS.items() if method.trains}
"""The methods that train something, so that they can be attached, saved and loaded."""


# A literal that cannot be built, such as a set of lists, raises a TypeError, and one that is nested
# too deeply one of the last two.
_UNREADABLE = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def parse_method(text: str) -> Method:
    """Parse a method as written in flags.

    Args:
      text: a name, with settings in parentheses where they differ from the defaults: `zero_shot`,
        `top_layers(3)`, `lora(rank=4, alpha=8)`. Plus signs join methods: `lora(rank=4)+bitfit`.

    Returns:
      The method.

    Raises:
      InputError: an unknown method or setting (with the nearest names), a text of another form, or
        methods that cannot be joined.
    """
    parts = split_joined(text)
    if len(parts) > 1:
        return Joined(tuple(parse_method(part) for part in parts))
    name, arguments, keywords = parse_call(text)
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    fields = {field.name: field for field in dataclasses.fields(METHODS[name])}
    if (arguments or keywords) and not fields:
        raise InputError(f"{text!r}: {name} has no settings; write {name} alone")
    if len(arguments) > len(fields):
        raise InputError(f"{text!r} gives more settings than {name} has: {', '.join(fields)}")
    settings = dict(zip(fields, arguments, strict=False))
    _require_once([*settings, *keywords], text)
    settings |= keywords
    for setting, value in settings.items():
        if setting not in fields:
            raise unknown_name(f"setting of {name}", setting, fields)
        settings[setting] = _as_type(value, fields[setting], text)
    return METHODS[name](**settings)


def format_method(method: Method) -> str:
    """Format a method with all its settings; the inverse of `parse_method`.

    Args:
      method: the method.

    Returns:
      For example `lora(rank=4, alpha=8.0, targets='mlp')`, or `bitfit`, which has no settings.
    """
    if isinstance(method, Joined):
        return "+".join(map(format_method, method.parts))
    fields = dataclasses.fields(method)
    settings = ", ".join(f"{field.name}={getattr(method, field.name)!r}" for field in fields)
    return f"{method.name}({settings})" if settings else method.name


def split_joined(text: str) -> list[str]:
    """Split a text at the plus signs that join methods, but not at those inside settings.

    Args:
      text: as for `parse_method`.

    Returns:
      The text of each method; the whole text if it cannot be read.
    """
    source = text.strip()
    try:
        node: ast.expr = ast.parse(source, mode="eval").body
    except _UNREADABLE:
        return [text]
    parts: list[str] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts.insert(0, ast.get_source_segment(source, node.right) or "")
        node = node.left
    return [ast.get_source_segment(source, node) or "", *parts] if parts else [text]


def parse_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Split `name(1, key=2)` into its parts; nothing but literals is evaluated.

    Args:
      text: a name, or a call whose arguments are literals; a positional one may be a bare word.

    Returns:
      The name, the positional arguments, and the named ones.

    Raises:
      InputError: the text has another form.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("neither a name nor a call")
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("settings are not spelt out")
        names = [str(keyword.arg) for keyword in node.keywords]
        keywords = {
            name: ast.literal_eval(each.value)
            for name, each in zip(names, node.keywords, strict=True)
        }
        # The first setting is often one of a few words, as in adapter(parallel).
        arguments = [
            value.id if isinstance(value, ast.Name) else ast.literal_eval(value)
            for value in node.args
        ]
    except _UNREADABLE as error:
        raise InputError(
            f"cannot read {text!r}: expected a name such as bitfit, or one with settings such as "
            "lora(rank=4, targets='mlp')"
        ) from error
    # Python's parser accepts a name given twice; its compiler, which is not used here, would not.
    _require_once(names, text)
    return node.func.id, arguments, keywords


def _require_once(names: Sequence[str], text: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{text!r} gives {' and '.join(twice)} twice")


def _as_type(value: Any, field: dataclasses.Field, text: str) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and field.type is float:
        # A number of more digits than a float can have is out of range in any case.
        return float(value) if value.bit_length() < 1024 else math.inf
    kind: Any = typing.get_origin(field.type) or field.type
    # In Python, bool is a subclass of int.
    if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
        raise InputError(
            f"{text!r}: {field.name} has to be of type {kind.__name__}, found {value!r}"
        )
    return value

"""Methods by name, and as they are written in flags: `lora(rank=4)`."""

import ast
import dataclasses
from typing import Any

from fsl_jax.adapt.bitfit import BitFit
from fsl_jax.adapt.full import Full
from fsl_jax.adapt.linear_probe import LinearProbe
from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.method import Method
from fsl_jax.adapt.top_layers import TopLayers
from fsl_jax.errors import InputError, unknown_name

METHODS: dict[str, Any] = {
    method.name: method for method in (Full, LinearProbe, TopLayers, BitFit, LoRA)
}


def parse_method(text: str) -> Method:
    """Reads a method as it is written in flags.

    Args:
      text: a name, with settings in parentheses where they differ from the defaults: `bitfit`,
        `top_layers(3)`, `lora(rank=4, alpha=8)`.

    Returns:
      The method.

    Raises:
      InputError: an unknown method or setting (with the nearest names), or a text of another form.
    """
    name, arguments, keywords = parse_call(text)
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    fields = {field.name: field for field in dataclasses.fields(METHODS[name])}
    if len(arguments) > len(fields):
        raise InputError(f"{text!r} gives more settings than {name} has: {', '.join(fields)}")
    settings = dict(zip(fields, arguments, strict=False)) | keywords
    for setting, value in settings.items():
        if setting not in fields:
            raise unknown_name(f"setting of {name}", setting, fields or ["(it has none)"])
        settings[setting] = _as_type(value, fields[setting], text)
    return METHODS[name](**settings)


def parse_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Takes `name(1, key=2)` apart without evaluating anything but literals.

    Args:
      text: a name, or a call whose arguments are literals or bare words.

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
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        return node.func.id, [ast.literal_eval(value) for value in node.args], keywords
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"cannot read {text!r}: expected a name such as bitfit, or one with settings such as "
            "lora(rank=4, targets='mlp')"
        ) from error


def _as_type(value: Any, field: dataclasses.Field, text: str) -> Any:
    if field.type is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, field.type) or isinstance(value, bool):  # type: ignore[arg-type]
        raise InputError(
            f"{text!r}: {field.name} has to be of type {field.type.__name__}, "  # type: ignore[union-attr]
            f"found {value!r}"
        )
    return value

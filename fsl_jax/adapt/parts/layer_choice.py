"""The layers of a stack that a setting chooses."""

import re

import numpy as np

from fsl_jax.errors import InputError

MAX_LENGTH = 4000
"""The largest number of characters of a setting; Python converts no more digits to a number."""

_FORM = re.compile(r"all|(?P<end>first|last) (?P<count>[1-9]\d*)|(\d+(-\d+)?)(,\s*\d+(-\d+)?)*")


def require_layers(setting: str, text: str) -> None:
    """Raise an error unless the value of a setting names layers.

    Args:
      setting: the name of the setting, for the error: "lora's layers".
      text: its value.

    Raises:
      InputError: the value cannot be read, or a span of layers ends before it begins.
    """
    if len(text) > MAX_LENGTH or not _FORM.fullmatch(text):
        raise InputError(
            f"{setting} {text!r} cannot be read: expected 'all', 'first 4', 'last 4', or numbers "
            "from 0 such as '0,2,5-7'"
        )
    if reversed_spans := [f"{low}-{high}" for low, high in _spans(text) if low > high]:
        raise InputError(f"{setting} {text!r} has {', '.join(reversed_spans)}, which is no layer")


def chosen_layers(setting: str, text: str, depth: int) -> np.ndarray:
    """Return the layers of a stack that a setting names.

    Args:
      setting: the name of the setting, for errors.
      text: its value.
      depth: L, the number of layers of the stack.

    Returns:
      bool `[L]`.

    Raises:
      InputError: the setting names a layer that the stack does not have.
    """
    spans = _spans_of(text, depth)
    if not all(low >= 0 and high < depth for low, high in spans):
        raise InputError(f"{setting} {text!r} are none of {depth} layers, numbered from 0")
    numbers = np.arange(depth)
    return np.any([(low <= numbers) & (numbers <= high) for low, high in spans], axis=0)


def _spans_of(text: str, depth: int) -> list[tuple[int, int]]:
    """Return the first and the last layer of each span that a text names in a stack."""
    form = _FORM.fullmatch(text)
    if form and form["end"]:
        count = int(form["count"])
        return [(0, count - 1)] if form["end"] == "first" else [(depth - count, depth - 1)]
    return _spans(text) or [(0, depth - 1)]


def _spans(text: str) -> list[tuple[int, int]]:
    """Return the spans of layers that are numbers in a text."""
    if not text[0].isdigit():
        return []
    ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [(each[0], each[-1]) for each in ends]

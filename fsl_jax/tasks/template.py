"""Templates: text with fields, which turn an example into a prompt."""

import dataclasses
import string

from fsl_jax.errors import InputError

DEFAULT = "{text}\nTopic:"


@dataclasses.dataclass(frozen=True)
class Template:
    r"""Text with the field `{text}`, up to where the label word goes.

    It has plain fields and no more: `{{` and `}}` are braces, and nothing else is interpreted.

    Attributes:
      text: for example `"Review: {text}\nSentiment:"`.
    """

    text: str = DEFAULT

    def __post_init__(self):
        fields = self._fields()
        if fields != ["text"]:
            raise InputError(
                f"the template {self.text!r} has the fields {fields}: it needs the field {{text}}, "
                "once, and no other"
            )
        if self.text != self.text.rstrip():
            raise InputError(
                f"the template {self.text!r} ends in white space: leave it out, since label words "
                "begin with their own"
            )

    def _fields(self) -> list[str]:
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise InputError(f"the template {self.text!r} cannot be read: {error}") from error
        plain = all(not spec and not conversion for _, _, spec, conversion in parsed)
        if not plain:
            raise InputError(
                f"the template {self.text!r}: a field is a plain name, such as {{text}}"
            )
        return [field for _, field, _, _ in parsed if field is not None]

    def render(self, text: str) -> str:
        """The prompt for a text, without its label word."""
        before, after = self.around()
        return before + text + after

    def around(self) -> tuple[str, str]:
        """What stands before and after the text."""
        parts = list(string.Formatter().parse(self.text))
        position = next(i for i, part in enumerate(parts) if part[1] == "text")
        before = "".join(literal for literal, *_ in parts[: position + 1])
        return before, "".join(literal for literal, *_ in parts[position + 1 :])

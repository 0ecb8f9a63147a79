"""Templates: text with fields, which turn an example into a prompt."""

import dataclasses
import string

from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.tokenizing import require_characters

DEFAULT = "{text}\nTopic:"


@dataclasses.dataclass(frozen=True)
class Template:
    r"""A text with the field `{text}`, which is followed by the label word.

    Fields are plain names, `{{` and `}}` stand for braces, and nothing else is interpreted.

    Attributes:
      text: for example `"Review: {text}\nSentiment:"`.
    """

    text: str = DEFAULT

    def __post_init__(self):
        require_characters(self.text, f"the template {self.text!r}")
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise InputError(
                f"the template {self.text!r} cannot be read: {error}; {{{{ and }}}} are braces"
            ) from error
        fields = [field for _, field, _, _ in parsed if field is not None]
        problems = []
        if fields != ["text"]:
            problems.append(f"its fields are {fields}: it needs {{text}}, once, and no other")
        if any(spec or conversion for _, _, spec, conversion in parsed):
            problems.append("a field is a plain name, without a format or a conversion")
        if self.text != self.text.rstrip():
            problems.append(
                "it ends in white space: leave that out, since label words begin with it"
            )
        if problems:
            raise problems_error(f"the template {self.text!r} cannot be used:", problems)

    def render(self, text: str) -> str:
        """Return the prompt for a text, without its label word."""
        before, after = self.around()
        return before + text + after

    def around(self) -> tuple[str, str]:
        """Return the parts of the template before and after the text."""
        parts = list(string.Formatter().parse(self.text))
        position = next(i for i, part in enumerate(parts) if part[1] == "text")
        before = "".join(literal for literal, *_ in parts[: position + 1])
        return before, "".join(literal for literal, *_ in parts[position + 1 :])

"""Templates: text with fields, which turn the parts of an example into a prompt."""

import dataclasses
import functools
import string
from collections import Counter
from collections.abc import Mapping

from fsl_jax.data.examples import TEXT
from fsl_jax.errors import InputError, nearest_names, problems_error
from fsl_jax.models.tokenizing import require_characters

DEFAULT = "{text}\nTopic:"


@dataclasses.dataclass(frozen=True)
class Template:
    r"""A text with fields, such as `{premise}`, which is followed by the answer.

    Fields are the names of the parts of an example. `{text}` stands for all parts, each on a line,
    if none of them has this name. `{{` and `}}` stand for braces, and nothing else is interpreted.

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
        problems = _field_problems(fields)
        if any(spec or conversion for _, _, spec, conversion in parsed):
            problems.append("a field is a plain name, without a format or a conversion")
        if self.text != self.text.rstrip():
            problems.append("it ends in white space: leave that out, since answers begin with it")
        if problems:
            raise problems_error(f"the template {self.text!r} cannot be used:", problems)

    @functools.cached_property
    def _pieces(self) -> tuple[tuple[str, str | None], ...]:
        """The words before each field with its name; None for the name after the last field."""
        return tuple((words, field) for words, field, _, _ in string.Formatter().parse(self.text))

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields, in their order."""
        return tuple(field for _, field in self._pieces if field is not None)

    @property
    def ends_in_field(self) -> bool:
        """True if no words follow the last field."""
        return self._pieces[-1][1] is not None

    def texts(self, parts: Mapping[str, str]) -> dict[str, str]:
        """Return the texts that stand in the fields.

        Args:
          parts: the parts of an example by name.

        Returns:
          The texts by field.

        Raises:
          InputError: the example has no part for a field; the error names the parts that it has.
        """
        known = parts if TEXT in parts else {**parts, TEXT: "\n".join(parts.values())}
        if unknown := [field for field in self.fields if field not in known]:
            raise problems_error(
                f"the template {self.text!r} does not suit the data, which have the fields "
                f"{', '.join(f'{{{name}}}' for name in known)}:",
                [_unknown(field, known) for field in unknown],
            )
        return {field: known[field] for field in self.fields}

    def render(self, parts: Mapping[str, str]) -> str:
        """Return the prompt for an example, without its answer.

        Args:
          parts: the parts of the example by name; others than those of the fields are left out.

        Returns:
          The prompt.

        Raises:
          InputError: as in `texts`.
        """
        texts = self.texts(parts)
        return "".join(
            words + ("" if field is None else texts[field]) for words, field in self._pieces
        )


def _field_problems(fields: list[str]) -> list[str]:
    """Return what is wrong with the fields of a template."""
    problems = []
    if not fields:
        problems.append("it has no field: put one where the text is to stand, such as {text}")
    if "" in fields:
        problems.append("a field has no name: write {text}, or the name of another part")
    repeated = [field for field, count in Counter(fields).items() if field and count > 1]
    return problems + [f"it has {{{field}}} more than once" for field in repeated]


def _unknown(field: str, known: Mapping[str, str]) -> str:
    nearest = nearest_names(field, known)
    hint = f"; did you mean {' or '.join(f'{{{name}}}' for name in nearest)}?" if nearest else ""
    return f"there is no {{{field}}}{hint}"

"""A method together with the text that a user wrote for it."""

import dataclasses

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.registry import parse_method


@dataclasses.dataclass(frozen=True)
class WrittenMethod:
    """A method, and its text in flags and files.

    The text is parsed once, when flags or a plan are read. Results, plans and directories show it
    unchanged, so that users recognise what they wrote.

    Attributes:
      text: the method as it was written, including settings.
      method: the method that the text names.
    """

    text: str
    method: Method

    @classmethod
    def parse(cls, text: str) -> "WrittenMethod":
        """Parse a method from its text.

        Args:
          text: the text, as for `parse_method`.

        Returns:
          The method with its text.

        Raises:
          InputError: the text names no method, or its settings are wrong.
        """
        return cls(text, parse_method(text))

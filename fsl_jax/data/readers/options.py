"""The options of users on how data are read."""

import dataclasses

from fsl_jax.errors import problems_error

_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t"}


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    r"""Options on how data are read.

    Attributes:
      encoding: the encoding of text files; None finds it out.
      separator: what separates the values of CSV and TSV files: one character, `comma`,
        `semicolon`, `tab` or `\t`; None finds it out.
      max_unfolded: the largest size to which a compressed file may unfold, in bytes; None lets it
        follow from the file's size.
      max_rows: the largest number of rows that are read of each part; None reads all rows of files,
        and as many as `origins.limits` says of a hub.
    """

    encoding: str | None = None
    separator: str | None = None
    max_unfolded: int | None = None
    max_rows: int | None = None

    def __post_init__(self) -> None:
        problems = [*self._encoding_problems(), *self._separator_problems()]
        if self.max_rows is not None and self.max_rows < 1:
            problems.append(f"max_rows is {self.max_rows}, and has to be at least 1")
        if problems:
            raise problems_error("the data cannot be read in this way:", problems)

    @property
    def separator_character(self) -> str | None:
        """The separator as a character; None if it is to be found out."""
        return _SEPARATORS.get(self.separator or "", self.separator)

    def _encoding_problems(self) -> list[str]:
        try:
            "".encode(self.encoding or "utf-8")
        # A name with a null character is a ValueError.
        except (LookupError, ValueError):
            return [
                f"there is no encoding {self.encoding!r}; usual ones are utf-8, utf-16, gb18030, "
                "cp1252 and latin-1"
            ]
        return []

    def _separator_problems(self) -> list[str]:
        character = self.separator_character
        if character is None or (len(character) == 1 and character not in '"\r\n'):
            return []
        known = ", ".join(_SEPARATORS)
        return [f"the separator {self.separator!r} is neither one character nor one of {known}"]

"""The table of tasks by ways to ask by families, with the methods that serve them."""

import string
from collections.abc import Iterable

from benchmarks.tasks.models import FAMILIES
from benchmarks.tasks.trying import TRIED, Combination, refusal, refusal_of_method
from fsl_jax.studies.planning.formulations import WAYS
from fsl_jax.studies.reporting.table import markdown_table

NO = "no"
ALL = "all"


class Reasons:
    """The reasons for which something is refused, each with a letter and what it is true of."""

    def __init__(self) -> None:
        """Begin without any."""
        self._of: dict[str, list[str]] = {}

    def letter(self, reason: str, method: str = "") -> str:
        """Return the letter of a reason, and note the method that it is given for."""
        methods = self._of.setdefault(reason, [])
        if method and method not in methods:
            methods.append(method)
        return string.ascii_lowercase[list(self._of).index(reason)]

    def lines(self) -> list[str]:
        """Return a line for each reason."""
        named = [
            (string.ascii_lowercase[number], ", ".join(f"`{method}`" for method in methods), reason)
            for number, (reason, methods) in enumerate(self._of.items())
        ]
        return [f"- {letter}: {of + ': ' if of else ''}{reason}." for letter, of, reason in named]


def cell(combination: Combination, reasons: Reasons, methods: Iterable[str] = TRIED) -> str:
    """Say which methods serve a combination.

    Args:
      combination: a task, a way to ask and a family.
      reasons: collects the reasons for which methods are refused.
      methods: the methods that are tried.

    Returns:
      `all`, `all but` with the letters of the reasons, or `no` with the letter of the reason.
    """
    if reason := refusal(combination):
        return f"{NO} ({reasons.letter(reason)})"
    refused = {text: refusal_of_method(combination, text) for text in methods}
    letters = {reasons.letter(why, text) for text, why in refused.items() if why}
    return f"{ALL} but {', '.join(sorted(letters))}" if letters else ALL


def table() -> str:
    """Make the table, and below it the reasons."""
    reasons = Reasons()
    lines = [
        [
            f"`{task}`",
            f"`{way}`",
            *(cell(Combination(task, way, family), reasons) for family in FAMILIES),
        ]
        for task, ways in WAYS.items()
        for way in ways
    ]
    headings = ("task", "asked by", *FAMILIES)
    made = markdown_table(headings, lines, texts=len(headings))
    return "\n".join([made, "", *reasons.lines()])

"""The answer of a study in a sentence or three, as sure as its seeds allow and no surer."""

from collections.abc import Sequence

from fsl_jax.studies.reporting.statistics import Spread, paired_difference
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import interval, percent, result


def answer(rows: Sequence[Row]) -> str:
    """Says which row is the best, by how much, and which others the seeds cannot tell from it.

    Two rows are told apart where the 95% confidence interval of their difference, seed by seed on
    the same splits, leaves out 0.

    Args:
      rows: from `summarise`, the best first.

    Returns:
      A paragraph of Markdown.
    """
    best, *others = [row for row in rows if not row.failed] or [rows[0]]
    if best.failed:
        return "**No answer: every run failed, as every loss stopped being a number.**"
    level = [row for row in others if not _is_behind(difference(best, row))]
    verdict = "comes out first" if level else "works best"
    metric = best.metric.replace("_", " ")
    told = (
        f"**On `{best.dataset}` with {best.shots} shots, {_name(best)} {verdict}: "
        f"{result(best)} % {metric}** ({_over_seeds(best)})."
    )
    return " ".join([told, *_next(best, others), *_level(best, others, level)])


def difference(first: Row, second: Row) -> Spread | None:
    """How far one row is ahead of another on the seeds that both have a value for.

    Args:
      first: a row.
      second: another.

    Returns:
      The spread of the differences; None if no seed is shared.
    """
    seeds = [seed for seed in first.values if seed in second.values]
    if not seeds:
        return None
    return paired_difference(*([row.values[seed] for seed in seeds] for row in (first, second)))


def _is_behind(ahead: Spread | None) -> bool:
    return ahead is not None and ahead.ci95 is not None and ahead.ci95[0] > 0


def _name(row: Row) -> str:
    return f"`{row.method}` with `{row.model}`"


def _over_seeds(row: Row) -> str:
    count = len(row.values)
    if count == 1:
        return "one seed"
    return f"mean ± standard deviation over {count} seeds; 95% confidence interval {interval(row)}"


def _next(best: Row, others: Sequence[Row]) -> list[str]:
    if not others:
        return []
    second = others[0]
    text = f"Next comes {_name(second)}: {result(second)} %"
    ahead = difference(best, second)
    if ahead is None or ahead.ci95 is None:
        return [f"{text}."]
    low, high = (percent(end) for end in ahead.ci95)
    return [
        f"{text}, {percent(ahead.mean)} points behind (95% confidence interval {low} to {high})."
    ]


def _level(best: Row, others: Sequence[Row], level: Sequence[Row]) -> list[str]:
    if not others:
        return []
    if len(best.values) == 1:
        return [
            "One seed cannot say how much of this is the luck of the split: give it more seeds."
        ]
    if not level:
        return ["Every other row is behind by more than the luck of the splits explains."]
    if list(level) == list(others[:1]):
        return ["These seeds do not tell the two apart; more seeds might."]
    names = ", ".join(_name(row) for row in level)
    return [f"These seeds do not tell the first apart from {names}; more seeds might."]

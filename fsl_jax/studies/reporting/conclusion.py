"""The conclusion of a study in a few sentences, which claim no more than its seeds support."""

from collections.abc import Sequence

from fsl_jax.studies.reporting.metric_titles import metric_title
from fsl_jax.studies.reporting.statistics import Spread, paired_difference
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import interval, percent, result


def conclusion(rows: Sequence[Row]) -> str:
    """Name the best row, its lead, and the rows that the seeds cannot distinguish from it.

    Two rows differ if the 95% confidence interval of their difference, seed by seed on the same
    splits, does not contain 0.

    Args:
      rows: from `summarise`, best first.

    Returns:
      A paragraph of Markdown.
    """
    best, *others = [row for row in rows if not row.failed] or [rows[0]]
    if best.failed:
        return "**No answer: every run failed, as every loss stopped being a number.**"
    tied = [row for row in others if not _is_ahead(difference(best, row))]
    verdict = "comes out first" if tied else "works best"
    metric = metric_title(best.metric)
    first_sentence = (
        f"**On `{best.dataset}` with {best.shots} shots, {_name(best)} {verdict}: "
        f"{result(best)} % {metric}** ({_over_seeds(best)})."
    )
    return " ".join([first_sentence, *_runner_up(best, others), *_ties(best, others, tied)])


def difference(first: Row, second: Row) -> Spread | None:
    """Compare two rows on the seeds for which both have a value.

    Args:
      first: a row.
      second: another row.

    Returns:
      The spread of `first - second`; None if the rows share no seed.
    """
    seeds = [seed for seed in first.values if seed in second.values]
    if not seeds:
        return None
    return paired_difference(*([row.values[seed] for seed in seeds] for row in (first, second)))


def _is_ahead(lead: Spread | None) -> bool:
    return lead is not None and lead.ci95 is not None and lead.ci95[0] > 0


def _name(row: Row) -> str:
    return f"`{row.method}` with `{row.model}`"


def _over_seeds(row: Row) -> str:
    count = len(row.values)
    if count == 1:
        return "one seed"
    return f"mean ± standard deviation over {count} seeds; 95% confidence interval {interval(row)}"


def _runner_up(best: Row, others: Sequence[Row]) -> list[str]:
    if not others:
        return []
    second = others[0]
    text = f"Next comes {_name(second)}: {result(second)} %"
    lead = difference(best, second)
    if lead is None or lead.ci95 is None:
        return [f"{text}."]
    low, high = (percent(end) for end in lead.ci95)
    return [
        f"{text}, {percent(lead.mean)} points behind (95% confidence interval {low} to {high})."
    ]


def _ties(best: Row, others: Sequence[Row], tied: Sequence[Row]) -> list[str]:
    if not others:
        return []
    if len(best.values) == 1:
        return [
            "One seed cannot say how much of this is the luck of the split: give it more seeds."
        ]
    if not tied:
        return ["Every other row is behind by more than the luck of the splits explains."]
    if list(tied) == list(others[:1]):
        return ["These seeds do not tell the two apart; more seeds might."]
    names = ", ".join(_name(row) for row in tied)
    return [f"These seeds do not tell the first apart from {names}; more seeds might."]

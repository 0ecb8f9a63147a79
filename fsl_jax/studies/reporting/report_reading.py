"""The section of the report that explains how to read it."""

from collections.abc import Sequence

from fsl_jax.studies.records.records import RunRecord
from fsl_jax.studies.reporting.statistics import sampling_margin
from fsl_jax.studies.reporting.summary import Row
from fsl_jax.studies.reporting.table import percent


def how_to_read(rows: Sequence[Row], records: Sequence[RunRecord]) -> list[str]:
    """Explain seeds, intervals and the selection, as needed for these rows.

    Args:
      rows: from `summarise`, the best first.
      records: all runs of the study.

    Returns:
      An entry for each point.
    """
    seeds = sorted({run.seed for run in records})
    return [
        f"Each seed ({', '.join(map(str, seeds))}) draws other training and validation examples, "
        "initial weights and orders of the batches. The test set is the same for all.",
        "`±` is the standard deviation over the seeds. The 95% confidence interval of the mean "
        "(Student's t, clipped to 0 and 100) covers the luck of those draws: with few seeds it is "
        "wide, and a single seed has none.",
        *_sampling(rows, records),
        *_constant(rows),
        _protocol(rows),
    ]


def _sampling(rows: Sequence[Row], records: Sequence[RunRecord]) -> list[str]:
    sizes = {run.test_examples for run in records if run.selected and run.test_examples}
    if rows[0].mean is None or rows[0].metric != "accuracy" or len(sizes) != 1:
        return []
    (size,) = sizes
    margin = percent(sampling_margin(rows[0].mean, size))
    return [
        f"The test set has {size} examples. For other examples of the same kind, expect the best "
        f"accuracy within {margin} points of its value here (with 95% confidence). More "
        "seeds do not change that; it moves all methods alike more than it changes their order."
    ]


def _constant(rows: Sequence[Row]) -> list[str]:
    constant = [f"`{row.method}` with `{row.model}`" for row in rows if row.std == 0]
    if not constant:
        return []
    return [
        f"{', '.join(constant)}: every seed gave the same value. A spread of 0 says that the seeds "
        "made no difference, not that the value is exact."
    ]


def _protocol(rows: Sequence[Row]) -> str:
    if all(row.selected["tried"] == len(row.runs) for row in rows):
        return (
            "There was one run for each method and seed. Validation examples chose the step whose "
            "parameters were kept."
        )
    return (
        "For each method and seed, the run with the best validation metric was chosen, and only "
        "that run saw the test set (the protocol of Gao et al. 2021)."
    )

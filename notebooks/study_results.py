# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""A notebook that shows the results of a study."""

# %% [markdown]
# # What did a study find?
#
# Reads the results of `python -m experiments.study`: the table, how sure one can be of its order,
# what was chosen on validation data, and how training went. Open it with Jupytext, or run it as a
# script with the study's directory as `FSL_JAX_RESULTS`.

# %%
import os
import pathlib

from rich.console import Console

from fsl_jax.studies.records.records import read_results
from fsl_jax.studies.records.timings import read_timings
from fsl_jax.studies.reporting.statistics import paired_difference
from fsl_jax.studies.reporting.summary import summarise
from fsl_jax.studies.reporting.table import markdown_table, percent, terminal_table

directory = pathlib.Path(os.environ.get("FSL_JAX_RESULTS", "results/bbc_headlines_quick"))
records = read_results(directory / "results.jsonl")
rows = summarise(records, read_timings(directory / "timings.jsonl"))
Console().print(terminal_table(rows))

# %% [markdown]
# ## How far is the best ahead, split by split?
#
# All methods see the same splits, so differences within splits say more than the intervals of each.

# %%
best, *others = [row for row in rows if not row.failed]
lines = []
for row in others:
    seeds = sorted(best.values.keys() & row.values.keys())
    lead = paired_difference(
        [best.values[seed] for seed in seeds], [row.values[seed] for seed in seeds]
    )
    interval = " to ".join(map(percent, lead.ci95)) if lead.ci95 else "-"
    lines.append([row.method, row.model, percent(lead.mean), interval])
print(f"{best.method} with {best.model} is ahead of")
print(markdown_table(["method", "model", "by points", "95% CI"], lines))

# %% [markdown]
# ## Did validation choose well?
#
# The gap between the validation accuracy of the chosen run and its test accuracy: validation sets
# of a few examples are optimistic, and the more runs there are to choose from, the more so.

# %%
chosen = [record for record in records if record.selected and record.validation is not None]
print(
    markdown_table(
        ["method", "model", "seed", "learning rate", "validation", "test"],
        [
            [
                record.method,
                record.model,
                str(record.seed),
                f"{record.learning_rate:g}",
                percent(record.validation),
                percent(record.test),
            ]
            for record in chosen
        ],
    )
)

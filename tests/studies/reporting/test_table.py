import io

import pytest
from rich.console import Console

from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.summary import summarise
from fsl_jax.studies.reporting.table import (
    cells,
    footnotes,
    headers,
    interval,
    markdown_table,
    result,
    terminal_table,
)


def shown(rows, width):
    stream = io.StringIO()
    Console(file=stream, width=width).print(terminal_table(rows))
    return stream.getvalue()


def test_cells_show_counts_percents_and_seconds(study):
    rows = summarise(study, [Timing("0", "bitfit", "other", 1.0, 20.0, 3.4)])
    assert cells(rows[1])[:4] == ["bitfit", "other", "1,000 (2.00%)", "70.3 ± 1.5"]
    assert cells(rows[1])[5] == "24"
    assert cells(rows[2])[2:5] == ["0", "50.0 ± 0.0", "50.0 to 50.0"]
    assert len(headers(rows)) == len(cells(rows[0]))


def test_failures_are_marked_and_explained(study):
    rows = summarise(study, [])
    assert cells(rows[0])[3].endswith("†")
    assert cells(rows[-1])[3:5] == ["failed †", "-"]
    assert "†" not in cells(rows[1])[3]
    best, failed = footnotes(rows)
    assert best == (
        "† lora(rank=8) with tiny: the loss of 3 of 6 runs stopped being a number; "
        "they took no part in the selection."
    )
    assert "3 of 3 runs" in failed
    assert failed.endswith("no value for seed 13, 21, 42.")


def test_a_single_seed_shows_no_spread(make_record):
    (row,) = summarise([make_record(test=0.7)], [])
    assert (result(row), interval(row)) == ("70.0", "-")


@pytest.mark.parametrize("width", [80, 120])
def test_no_cell_is_cut_off_on_a_terminal(study, width):
    rows = summarise(study, [])
    text = shown(rows, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in rows:
        assert all(cell in text for cell in cells(row))
    assert all(" ".join(note.split()) in " ".join(text.split()) for note in footnotes(rows))


def test_long_names_fold_on_a_narrow_terminal(make_record):
    name = "lora(rank=4,targets=[query,value])"
    text = shown(summarise([make_record(method=name)], []), 70)
    column = "".join(line[: line.find("  ")] for line in text.splitlines() if line)
    assert name in column.replace(" ", "")


def test_markdown_keeps_bars_inside_their_cells():
    lines = markdown_table(["name", "n"], [["a|b", "1"]], texts=1).splitlines()
    assert lines == ["| name | n |", "| --- | ---: |", r"| a\|b | 1 |"]

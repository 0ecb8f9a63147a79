import json
import re

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.report import markdown, write_report
from fsl_jax.studies.reporting.summary import summarise

ENVIRONMENT = {"versions": {"jax": "0.10.2"}, "threads": 2, "xla_flags": ""}


def report_of(records, **more):
    return markdown(summarise(records, []), records, ENVIRONMENT, **more)


def test_writes_the_files_that_the_report_shows(tmp_path, study):
    rows = write_report(tmp_path, study, [Timing("0", "full", "tiny", 1.0, 2.0, 3.0)], ENVIRONMENT)

    text = (tmp_path / "report.md").read_text()
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert sorted([*pictures, "report.md", "summary.json", "hashes.json"]) == sorted(
        p.name for p in tmp_path.iterdir()
    )
    assert len(pictures) == 2
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [row["method"] for row in summary["rows"]] == [row.method for row in rows]


def test_only_the_files_that_are_asked_for_are_written(tmp_path, study):
    write_report(tmp_path, study, [], ENVIRONMENT, only=["report.md"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hashes.json", "report.md"]


def test_the_conclusion_comes_before_the_table_and_the_table_before_the_pictures(study):
    text = report_of(study, plots=["results_by_method.png"])
    parts = ["Which way of using", "works best: 90.0 ± 1.0", "| method |", "![results by method]"]
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)


def test_a_newcomer_is_told_what_varies_and_what_was_left_out(study):
    text = report_of(study)
    assert "Each seed (13, 21, 42) draws other training and validation examples" in text
    assert "The test set has 200 examples." in text
    assert "`zero_shot` with `tiny`: every seed gave the same value." in text
    assert "`full` with `tiny`: the run with learning rate 0.001 failed" in text
    assert "Gao et al. 2021" in text


def test_a_study_without_notes_has_no_section_for_them(make_record):
    assert "## Notes" not in report_of([make_record()])


def test_records_of_several_studies_are_refused_before_anything_is_written(tmp_path, make_record):
    records = [make_record(), make_record(shots=8, method="bitfit")]
    with pytest.raises(InputError, match="fruits, 4 shots, accuracy; fruits, 8 shots, accuracy"):
        write_report(tmp_path, records, [], ENVIRONMENT)
    with pytest.raises(InputError, match="these records are of 0"):
        write_report(tmp_path, [], [], ENVIRONMENT)
    assert not list(tmp_path.iterdir())


def test_notes_of_the_study_come_before_those_of_runs(make_record):
    records = [make_record(seed=1, notes=("3 texts were truncated",))]
    text = report_of(records, notes=["5 duplicates were removed"])
    assert "- 5 duplicates were removed\n- `lora` with `tiny`: 3 texts were truncated\n" in text


def test_the_sections_stand_in_the_report(study):
    text = report_of(study, command="python -m experiments.study --shots=4")
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "## How to read this",
        "## How to use the adapters",
        "## What was selected",
        "## Notes",
        "## Where the time went",
        "## How it was made",
    ]
    assert "- Command: `python -m experiments.study --shots=4`" in text

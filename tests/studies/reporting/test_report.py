import json
import re
import shlex

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
    assert sorted([*pictures, "report.md", "summary.json"]) == sorted(
        p.name for p in tmp_path.iterdir()
    )
    assert len(pictures) == 2
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [row["method"] for row in summary["rows"]] == [row.method for row in rows]


def test_the_answer_comes_before_the_table_and_the_table_before_the_pictures(study):
    text = report_of(study, plots=["accuracy_by_method.png"])
    parts = ["Which way of using", "works best: 90.0 ± 1.0", "| method |", "![accuracy by method]"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_newcomer_is_told_what_varies_and_what_was_left_out(study):
    text = report_of(study)
    assert "Each seed (13, 21, 42) draws other training and validation examples" in text
    assert "The test set has 200 examples." in text
    assert "`zero_shot` with `tiny`: every seed gave the same value." in text
    assert "`full` with `tiny`: the run with learning rate 0.001 failed" in text
    assert "Gao et al. 2021" in text


def test_one_run_a_seed_is_not_called_a_selection(make_record):
    text = report_of([make_record(seed=1), make_record(seed=2)])
    assert "Gao" not in text
    assert "There was one run for each method and seed." in text


def test_the_command_names_the_adapter_that_validation_likes_best(make_record):
    records = [
        make_record(seed=1, validation=0.7, adapter="adapters/lora (8)/seed-1"),
        make_record(seed=2, validation=0.9, adapter="adapters/lora (8)/seed-2"),
    ]
    text = report_of(records)
    (command,) = re.findall(r"```sh\n(.+)\n```", text)
    assert shlex.split(command)[3:] == [
        "--model=tiny",
        "--adapter=adapters/lora (8)/seed-2",
        "--dataset=fruits",
        "--output=evaluation",
    ]
    assert "(adapters/lora%20%288%29/seed-1)" in text


def test_without_adapters_there_is_nothing_to_use(make_record):
    assert "How to use" not in report_of([make_record("untrained", method="zero_shot")])


def test_every_selected_run_is_listed_with_its_learning_rate_and_step(make_record):
    records = [make_record(seed=1, learning_rate=1e-4), make_record("failed", seed=2)]
    text = report_of(records)
    assert "| 1 | 0.0001 | 20 | 75.0 | 70.0 |" in text
    assert "| lora | tiny | - | 2 | - | - | - | failed |" in text


def test_notes_are_said_once_with_their_seeds(make_record):
    records = [
        make_record(seed=1, notes=("3 texts were truncated", "2 of 8 demonstrations fit")),
        make_record("unselected", seed=1, learning_rate=0.1, notes=("3 texts were truncated",)),
        make_record(seed=2, notes=("3 texts were truncated",)),
    ]
    text = report_of(records, notes=["5 duplicates were removed"])
    assert "- 5 duplicates were removed\n" in text
    assert text.count("- `lora` with `tiny`: 3 texts were truncated\n") == 1
    assert "- `lora` with `tiny`: 2 of 8 demonstrations fit (seed 1)\n" in text


def test_a_study_without_notes_has_no_section_for_them(make_record):
    assert "## Notes" not in report_of([make_record()])


def test_it_says_how_to_make_it_again(study):
    text = report_of(study, command="python -m experiments.study --shots=4")
    assert "- Command: `python -m experiments.study --shots=4`" in text
    assert f"- Base model `tiny`: SHA-256 `{'ab' * 32}`" in text
    assert "- Versions: jax 0.10.2" in text
    assert "- threads: 2" in text
    assert "xla flags" not in text


def test_records_of_several_questions_are_refused_before_anything_is_written(tmp_path, make_record):
    records = [make_record(), make_record(shots=8, method="bitfit")]
    with pytest.raises(InputError, match="fruits, 4 shots, accuracy; fruits, 8 shots, accuracy"):
        write_report(tmp_path, records, [], ENVIRONMENT)
    with pytest.raises(InputError, match="these records answer 0"):
        write_report(tmp_path, [], [], ENVIRONMENT)
    assert not list(tmp_path.iterdir())

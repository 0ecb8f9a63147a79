from fsl_jax.studies.records.timings import Timing
from fsl_jax.studies.reporting.report_notes import how_it_was_made, notes_of, seconds_table
from fsl_jax.studies.reporting.summary import summarise


def test_notes_are_said_once_with_their_seeds(make_record):
    records = [
        make_record(seed=1, notes=("3 texts were truncated", "2 of 8 demonstrations fit")),
        make_record("unselected", seed=1, learning_rate=0.1, notes=("3 texts were truncated",)),
        make_record(seed=2, notes=("3 texts were truncated",)),
    ]
    assert notes_of(records) == [
        "`lora` with `tiny`: 3 texts were truncated",
        "`lora` with `tiny`: 2 of 8 demonstrations fit (seed 1)",
    ]


def test_a_run_that_failed_has_a_note(make_record):
    (note,) = notes_of([make_record("failed", learning_rate=0.1)])
    assert note.startswith("`lora` with `tiny`: the run with learning rate 0.1 failed")


def test_seconds_stand_by_phase(make_record):
    timings = [Timing("0", "lora", "tiny", 1.0, 2000.0, 3.0)]
    assert "| lora | tiny | 1.0 | 2,000.0 | 3.0 |" in seconds_table(
        summarise([make_record()], timings)
    )


def test_it_says_how_to_make_it_again(study):
    environment = {"versions": {"jax": "0.10.2"}, "threads": 2, "xla_flags": ""}
    lines = how_it_was_made(study, environment, "python -m experiments.study --shots=4")
    assert "Command: `python -m experiments.study --shots=4`" in lines
    assert f"Base model `tiny`: SHA-256 `{'ab' * 32}`" in lines
    assert "Versions: jax 0.10.2" in lines
    assert "threads: 2" in lines
    assert not any("xla flags" in line for line in lines)

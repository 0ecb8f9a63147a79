"""The files of a study: changed bits are noticed, kills are no damage, lost files come back."""

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.plan_file import read_plan
from fsl_jax.studies.records.hashed_files import TIMINGS_FILE
from fsl_jax.studies.records.records import read_results
from fsl_jax.studies.records.timings import read_timings
from fsl_jax.studies.reporting import events, plots
from fsl_jax.studies.reporting.study_files import (
    outdated_files,
    read_rows,
    require_adapters,
    require_unchanged,
    write_study_files,
)
from fsl_jax.studies.reporting.summary import read_summary
from tests.studies.reporting.conftest import OPTIONS, SmallStudy


@pytest.fixture
def finished(small_study) -> SmallStudy:
    study = small_study()
    study.begin()
    study.run()
    return study


def read_again(study: SmallStudy) -> None:
    """Read everything that the same command, the notebook and the table of studies read."""
    read_plan(study.directory)
    store = study.store()
    require_unchanged(study.directory)
    outdated_files(study.directory, store, OPTIONS.environment)
    require_adapters(study.directory, store)


def outdated(study):
    return outdated_files(study.directory, study.store(), OPTIONS.environment)


READERS = {
    "results.jsonl": read_results,
    "summary.json": read_summary,
    "timings.jsonl": read_timings,
}
"""The readers of the files that are also read alone."""


def reader_of(study: SmallStudy, name: str) -> Callable[[], object]:
    """Return the function that reads a file again, and no others, so that this is quick."""
    if name == "plan.json":
        return lambda: read_plan(study.directory)
    if name.startswith("programs/"):
        return lambda: study.store().records()
    if name in READERS:
        return lambda: READERS[name](study.directory / name)
    return lambda: require_unchanged(study.directory)


def flip_bits(study: SmallStudy, step: int) -> dict[str, tuple[int, int]]:
    """Change bits of every file, and count by file the changes and those that nobody noticed."""
    counts = {}
    for name, data in study.contents().items():
        flipped = unnoticed = 0
        for bit in range(len(name) % step, 8 * len(data), step):
            with changed_bit(study.directory / name, bit):
                flipped += 1
                unnoticed += not is_noticed(reader_of(study, name))
        counts[name] = (flipped, unnoticed)
    return counts


@contextlib.contextmanager
def changed_bit(path: os.PathLike, bit: int) -> Iterator[None]:
    """Change one bit in place, since to write the whole file takes ten times as long."""
    with pathlib.Path(path).open("r+b", buffering=0) as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
        yield
        file.seek(bit // 8)
        file.write(bytes([byte]))


def is_noticed(read: Callable[[], object]) -> bool:
    """Return True if a reader refuses the files on one line."""
    try:
        read()
    except InputError as error:
        return "\n" not in str(error)
    return False


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.soak)])
def test_every_changed_bit_of_every_file_is_noticed(finished, step):
    counts = flip_bits(finished, step)
    assert {unnoticed for _, unnoticed in counts.values()} == {0}
    assert {"plan.json", "hashes.json", "programs/00-tiny-lora.jsonl", *READERS} <= counts.keys()
    read_again(finished)


def test_the_same_command_notices_a_change_of_any_file(finished):
    for name, data in finished.contents().items():
        (finished.directory / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert is_noticed(lambda: read_again(finished)), name
        (finished.directory / name).write_bytes(data)


def test_nothing_is_to_do_after_a_finished_study(finished):
    assert outdated(finished) == []
    before = finished.times()
    write_study_files(finished.directory, finished.store(), OPTIONS)
    assert finished.times() == before


def test_lost_files_are_made_again_with_the_same_bytes(finished, monkeypatch):
    curves = {"events/00-tiny-lora": b"curves", "events/01-tiny-zero_shot": b"curves"}
    monkeypatch.setattr(events, "event_files", lambda records: curves)
    before = finished.contents()
    lost = [name for name in before if name not in ("plan.json", TIMINGS_FILE, "hashes.json")]
    lost = [name for name in lost if not name.startswith("programs/")]
    for number, name in enumerate(lost, start=1):
        (finished.directory / name).unlink()
        assert outdated(finished) == sorted(lost[:number])
    require_unchanged(finished.directory)
    assert outdated(finished) == sorted(lost)
    assert len(lost) == 6
    write_study_files(finished.directory, finished.store(), OPTIONS, outdated(finished))
    assert finished.contents() == before


def test_a_lost_file_leaves_the_others_as_they_are(finished):
    options = OPTIONS.__class__(OPTIONS.environment, (), "another command", 0.5)
    report = (finished.directory / "report.md").read_bytes()
    (finished.directory / "summary.json").unlink()
    write_study_files(finished.directory, finished.store(), options, outdated(finished))
    assert (finished.directory / "report.md").read_bytes() == report
    assert outdated(finished) == []


def test_lost_timings_cannot_be_made_again(finished):
    (finished.directory / TIMINGS_FILE).unlink()
    with pytest.raises(InputError, match=r"timings\.jsonl: lost\. Put it back from a copy"):
        require_unchanged(finished.directory)


def test_without_hashes_the_results_must_be_those_of_the_records(finished):
    (finished.directory / "hashes.json").unlink()
    assert outdated(finished) == ["hashes.json"]
    changed = finished.contents()["results.jsonl"].replace(b"0.7", b"0.8")
    (finished.directory / "results.jsonl").write_bytes(changed)
    require_unchanged(finished.directory)
    with pytest.raises(InputError, match=r"results\.jsonl: not made from the records .* Remove it"):
        outdated(finished)


def test_lost_hashes_come_back_with_the_files_as_they_are(finished, monkeypatch):
    curves = {"events/00-tiny-lora": b"curves", "events/01-tiny-zero_shot": b"curves"}
    monkeypatch.setattr(events, "event_files", lambda records: curves)
    monkeypatch.setattr(plots, "PLOTS", ("accuracy.png", "curves_of_what_trained.png"))
    before = finished.contents()
    (finished.directory / "hashes.json").unlink()
    (finished.directory / "accuracy.png").unlink()
    (finished.directory / "events" / "00-tiny-lora").unlink()
    write_study_files(finished.directory, finished.store(), OPTIONS, outdated(finished))
    assert finished.contents() == before
    (finished.directory / "hashes.json").unlink()
    (finished.directory / "report.md").write_bytes(b"edited by hand")
    write_study_files(finished.directory, finished.store(), OPTIONS, outdated(finished))
    assert (finished.directory / "report.md").read_bytes() == b"edited by hand"
    require_unchanged(finished.directory)
    assert outdated(finished) == []


def test_several_changed_files_are_listed_together(finished):
    for name in ("report.md", "accuracy.png"):
        (finished.directory / name).write_bytes(b"changed")
    with pytest.raises(InputError) as refused:
        require_unchanged(finished.directory)
    assert len(str(refused.value).splitlines()) == 3


def test_a_missing_adapter_is_told_with_its_program(small_study, make_record):
    study = small_study()
    store = study.store()
    store.write(study.programs[0], [make_record(seed=1)])
    with pytest.raises(InputError) as refused:
        require_adapters(study.directory, store)
    assert str(refused.value) == (
        f"{study.directory}/adapters/tiny/lora/seed-13: missing. Put it back from a copy, or "
        "remove programs/00-tiny-lora.jsonl to train it again."
    )


def begin_and_run(study: SmallStudy) -> None:
    if read_plan(study.directory) is None:
        study.begin()
    study.run()


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_write_gives_no_false_alarm_and_the_same_results(
    small_study, finished, kill_at, after
):
    expected = finished.contents()
    changing = {"timings.jsonl", "summary.json", "report.md", "hashes.json"}
    for number in range(1, 100):
        study = small_study(f"killed-{number}")
        if not kill_at(functools.partial(begin_and_run, study), number, after):
            break
        if read_plan(study.directory) is None:
            study.begin()
        require_unchanged(study.directory)
        for name, read in READERS.items():
            if (study.directory / name).exists():
                read(study.directory / name)
        # Killed again a little later, it goes on from there.
        kill_at(functools.partial(begin_and_run, study), 2, after)
        require_unchanged(study.directory)
        study.run()
        contents = study.contents()
        assert contents.keys() == expected.keys()
        assert {name for name in expected if contents[name] != expected[name]} <= changing
        read_again(study)
        assert outdated(study) == []
        assert [row.mean for row in read_rows(study.directory, study.store())] == [0.7, 0.7]
    assert number > 20

import dataclasses

import pytest
from etils import epath

from fsl_jax.errors import InputError
from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.written_method import WrittenMethod
from fsl_jax.studies.records.jsonl import write_records
from fsl_jax.studies.records.records import read_results
from fsl_jax.studies.records.result_store import ResultStore, records_file


@pytest.fixture
def programs() -> list[PlannedProgram]:
    lora = WrittenMethod.parse("lora")
    return [
        PlannedProgram(i, "x", "tiny", "head", 1, 1, (PlannedRun(lora, i, 1e-3),), size=1)
        for i in range(3)
    ]


def test_results_are_in_the_order_of_the_plan_whichever_finished_first(
    programs, make_record, tmp_path
):
    store = ResultStore(epath.Path(tmp_path), programs)
    first, last = make_record(seed=0), make_record(seed=2)
    store.write(programs[2], [last])
    assert store.records() == [last]
    store.write(programs[0], [first])
    assert store.records() == [first, last]
    assert store.by_program() == {"00-x": (first,), "02-x": (last,)}
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert lines == [first.line(), last.line()]
    assert read_results(tmp_path / "results.jsonl") == (first, last)
    assert [store.has(program) for program in programs] == [True, False, True]
    assert not store.has_all()


def test_a_new_store_reads_what_an_earlier_one_wrote(programs, make_record, tmp_path):
    record = make_record(seed=1)
    ResultStore(epath.Path(tmp_path), programs).write(programs[1], [record])
    store = ResultStore(epath.Path(tmp_path), [dataclasses.replace(each) for each in programs])
    assert store.has(programs[1])
    assert store.records() == [record]


@pytest.mark.parametrize("runs", [[], [2], [1, 1]])
def test_the_records_are_those_of_the_planned_runs(programs, make_record, tmp_path, runs):
    store = ResultStore(epath.Path(tmp_path), programs)
    store.write(programs[1], [make_record(seed=seed) for seed in runs])
    again = ResultStore(epath.Path(tmp_path), programs)
    with pytest.raises(InputError, match=r"01-x\.jsonl: its lines are not the runs .* Remove it"):
        again.records()


def test_a_file_cut_to_nothing_is_not_a_program_without_runs(programs, make_record, tmp_path):
    ResultStore(epath.Path(tmp_path), programs).write(programs[1], [make_record(seed=1)])
    records_file(epath.Path(tmp_path), "01-x").write_text("")
    with pytest.raises(InputError, match=r"01-x\.jsonl: damaged; .* runs this program again"):
        ResultStore(epath.Path(tmp_path), programs).records()


def test_files_of_the_first_version_have_no_seal(programs, make_record, tmp_path):
    path = records_file(epath.Path(tmp_path), "01-x")
    path.parent.mkdir()
    write_records(path, [make_record(seed=1)])
    store = ResultStore(epath.Path(tmp_path), programs, sealed=False)
    assert store.records() == [make_record(seed=1)]

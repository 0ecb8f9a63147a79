import dataclasses

import pytest
from etils import epath

from fsl_jax.studies.planning.programs import PlannedProgram, PlannedRun
from fsl_jax.studies.planning.written_method import WrittenMethod
from fsl_jax.studies.records.result_store import ResultStore


@pytest.fixture
def programs() -> list[PlannedProgram]:
    runs = (PlannedRun(WrittenMethod.parse("lora"), 1, 1e-3),)
    return [PlannedProgram(i, "x", "m", "head", 1, 1, runs, size=1) for i in range(3)]


def test_results_are_in_the_order_of_the_plan_whichever_finished_first(
    programs, make_record, tmp_path
):
    store = ResultStore(epath.Path(tmp_path), programs)
    first, last = make_record(seed=1), make_record(seed=2)
    store.write(programs[2], [last])
    assert store.records() == [last]
    store.write(programs[0], [first])
    assert store.records() == [first, last]
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert lines == [first.line(), last.line()]
    assert [store.has(program) for program in programs] == [True, False, True]


def test_a_new_store_reads_what_an_earlier_one_wrote(programs, make_record, tmp_path):
    record = make_record()
    ResultStore(epath.Path(tmp_path), programs).write(programs[1], [record])
    store = ResultStore(epath.Path(tmp_path), [dataclasses.replace(each) for each in programs])
    assert store.has(programs[1])
    assert store.records() == [record]

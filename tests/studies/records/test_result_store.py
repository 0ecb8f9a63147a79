import dataclasses

import pytest
from etils import epath

from fsl_jax.studies.planning.plan import PlannedProgram, PlannedRun
from fsl_jax.studies.records.result_store import ResultStore


@pytest.fixture
def programs() -> list[PlannedProgram]:
    runs = (PlannedRun("lora", 1, 1e-3),)
    return [PlannedProgram(f"{i:02d}-x", "m", "head", 1, 1, runs, size=1) for i in range(3)]


def test_results_are_in_the_order_of_the_plan_whichever_finished_first(
    programs, make_record, tmp_path
):
    store = ResultStore(epath.Path(tmp_path), programs)
    first, last = make_record(seed=1), make_record(seed=2)
    store.finish(programs[2], [last])
    assert store.records() == [last]
    store.finish(programs[0], [first])
    assert store.records() == [first, last]
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert lines == [first.line(), last.line()]
    assert [store.finished(program) for program in programs] == [True, False, True]


def test_a_new_ledger_finds_what_an_earlier_one_wrote(programs, make_record, tmp_path):
    record = make_record()
    ResultStore(epath.Path(tmp_path), programs).finish(programs[1], [record])
    found = ResultStore(epath.Path(tmp_path), [dataclasses.replace(each) for each in programs])
    assert found.finished(programs[1])
    assert found.records() == [record]

"""Studies of different tasks stand in one table."""

from fsl_jax.studies.reporting.ranking import ranking_table
from fsl_jax.studies.reporting.summary import summarise


def _lines(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_methods_are_ranked_on_each_data_set_among_trivial_answers(make_record):
    tags = summarise(
        [
            make_record(test=0.5, method="lora", metric="entity_f1"),
            make_record(test=0.02, method="bitfit", metric="entity_f1"),
        ],
        [],
    )
    classes = summarise([make_record(test=0.7, method="lora")], [])
    baselines = {"tags": {"no entities": 0.0, "majority": 0.1}}
    header, _, *lines = _lines(ranking_table({"tags": tags, "classes": classes}, baselines))
    assert header == ["data", "metric", "method", "model", "trained parameters", "%", "seconds"]
    assert [line[:3] for line in lines] == [
        ["tags", "entity F1", "lora"],
        ["tags", "entity F1", "majority"],
        ["tags", "entity F1", "bitfit"],
        ["tags", "entity F1", "no entities"],
        ["classes", "accuracy", "lora"],
    ]
    assert lines[1][3:] == ["-", "0", "10.0", "-"]
    assert lines[0][5] == "50.0"


def test_what_failed_is_last_but_stays_in_the_table(make_record):
    rows = summarise([make_record("failed")], [])
    *_, last = _lines(ranking_table({"data": rows}, {"data": {"chance": 0.0}}))
    assert last[5] == "failed"

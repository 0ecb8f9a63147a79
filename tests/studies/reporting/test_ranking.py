"""Studies of different tasks stand in one table."""

from fsl_jax.studies.reporting.ranking import FinishedStudy, ranking_table
from fsl_jax.studies.reporting.summary import summarise


def lines_of(studies):
    header, _, *lines = ranking_table(studies).splitlines()
    assert header == "| data | metric | method | model | trained parameters | % | seconds |"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_methods_are_ranked_on_each_data_set_among_trivial_answers(make_record):
    tags = [
        make_record(test=0.5, method="lora", metric="entity_f1"),
        make_record(test=0.02, method="bitfit", metric="entity_f1"),
    ]
    baselines = {"no entities": 0.0, "majority": 0.1}
    lines = lines_of(
        [
            FinishedStudy("tags", summarise(tags, []), baselines),
            FinishedStudy("classes", summarise([make_record(test=0.7, method="lora")], []), {}),
        ]
    )
    assert [line[:3] for line in lines] == [
        ["tags", "entity F1", "lora"],
        ["tags", "entity F1", "majority"],
        ["tags", "entity F1", "bitfit"],
        ["tags", "entity F1", "no entities"],
        ["classes", "accuracy", "lora"],
    ]
    assert lines[1][3:] == ["-", "0", "10.0", "-"]
    assert lines[0][5] == "50.0"


def test_studies_of_the_same_data_are_ranked_by_metric(make_record):
    heads = FinishedStudy("news", summarise([make_record(test=0.6)], []), {"chance": 0.2})
    prompts = FinishedStudy(
        "news", summarise([make_record("untrained", test=0.7)], []), {"chance": 0.2}
    )
    titles = make_record(test=0.3, metric="chrf")
    written = FinishedStudy("news", summarise([titles], []), {"copy": 0.1})
    lines = lines_of([heads, prompts, written])
    assert [(line[1], line[5].split()[0]) for line in lines] == [
        ("accuracy", "70.0"),
        ("accuracy", "60.0"),
        ("accuracy", "20.0"),
        ("chrF", "30.0"),
        ("chrF", "10.0"),
    ]


def test_what_failed_is_last_but_stays_in_the_table(make_record):
    failed = summarise([make_record("failed")], [])
    *_, last = lines_of([FinishedStudy("data", failed, {"chance": 0.0})])
    assert last[5] == "failed"

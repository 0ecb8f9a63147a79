import pytest

from fsl_jax.data.rows import Row, Rows
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.reading import Problems, file_problems, read_part

TASK = Classification()
COLUMNS = {"text": ("text",), "label": ("label",), "identity": ("id",)}


def read(*files, columns=COLUMNS, **options):
    problems = Problems()
    part = read_part(TASK, columns, files, lambda row: TASK.read(row, columns), problems, **options)
    return part, problems.listed()


def row(number, text="fine", label="a"):
    return {"id": number, "text": text, "label": label}


def test_examples_know_where_they_come_from(rows_of):
    part, problems = read(rows_of([row(1)], "one.jsonl"), rows_of([row(2), row(3)], "two.jsonl"))
    assert problems == []
    assert [(place.source, place.number) for place in part.places] == [
        ("one.jsonl", 1),
        ("two.jsonl", 1),
        ("two.jsonl", 2),
    ]
    assert [example.identity for example in part.examples] == ["1", "2", "3"]


def test_the_first_ten_lines_of_each_kind_of_problem_are_named(rows_of):
    listed = [row(n, text="" if n % 2 else None) for n in range(1, 31)]
    _, problems = read(rows_of([*listed, row(31, label=None)]))
    assert problems == [
        "train.jsonl: empty text in column 'text', line 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 5 "
        "more",
        "train.jsonl: no text in column 'text', line 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 and 5 more",
        "train.jsonl: no label in column 'label', line 31",
    ]


def test_mixed_kinds_in_a_column_are_told(rows_of):
    _, problems = read(rows_of([row(1, label=1), row(2, label="1"), row(3, label=0)]))
    assert problems == ["train.jsonl: text where most rows have a number in column 'label', line 2"]


def test_an_identifier_of_another_row_is_told(rows_of):
    _, problems = read(rows_of([row(1), row(1), row(1, text="other")]))
    assert problems == ["train.jsonl: the id of another row in column 'id', line 3"]


@pytest.mark.parametrize(
    ("columns", "count"), [(("text",), "no"), (("text", "label", "label", "id"), "more than one")]
)
def test_a_file_needs_each_column_once(columns, count):
    file = Rows("b.csv", "line", columns, [Row(2, row(1))])
    _, problems = read(file)
    assert any(f"b.csv has {count} column 'label'; its columns are 'text'" in p for p in problems)


def test_rows_without_text_are_skipped_if_asked_for(rows_of):
    part, problems = read(rows_of([row(1, text=" "), row(2, text=None), row(3)]), skip_empty=True)
    assert (len(part.examples), part.skipped, problems) == (1, 2, [])


def test_problems_of_files_are_told():
    parts = {
        "train": (Rows("a.csv", "line", ("text",)), Rows("b.csv", "line")),
        "test": (Rows("c.csv", "line", malformed=[f"line {n}: broken" for n in range(12)]),),
    }
    problems = file_problems(parts)
    assert problems[:2] == ["a.csv has columns and no rows", "b.csv is empty"]
    assert problems[2] == "c.csv, line 0: broken"
    assert problems[-1] == "c.csv: 2 more lines like these"
    assert len(problems) == 13

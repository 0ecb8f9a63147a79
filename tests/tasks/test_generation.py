import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.generation import Generation
from fsl_jax.tasks.making import make_dataset

TASK = Generation()


def example(source, *references):
    return Example({"source": source}, references)


def read(row):
    columns = TASK.find(list(row), [row])
    assert TASK.recognises([row], columns)
    return TASK.read(row, columns)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"source": " a ", "target": "b "}, example("a", "b")),
        ({"question": "a", "answer": "b"}, example("a", "b")),
        ({"command": "a", "actions": "b"}, example("a", "b")),
        ({"article": "a", "highlights": "b"}, example("a", "b")),
        ({"source": "a", "references": ["b", "c", "b"]}, example("a", "b", "c")),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "bot", "content": "b"}]},
            example("user: a", "b"),
        ),
        ({"dialog": ["a", "b", "c"]}, example("a\nb", "c")),
    ],
)
def test_rows_of_many_layouts_are_read(row, found):
    assert read(row) == found


def test_an_instruction_and_its_input_are_parts_and_the_input_may_be_empty():
    row = {"instruction": "Add.", "input": "1 1", "output": "2"}
    assert read(row) == Example({"instruction": "Add.", "input": "1 1"}, ("2",))
    assert read(row | {"input": ""}).parts == {"instruction": "Add.", "input": ""}


def test_columns_of_a_mapping_are_named_with_a_dot():
    row = {"translation": {"en": "yes", "de": "ja"}}
    columns = {"source": ("translation.en",), "target": ("translation.de",)}
    assert TASK.read(row, columns) == example("yes", "ja")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"source": "", "target": "b"}, "empty text in column 'source'"),
        ({"source": "a", "target": None}, "no text in column 'target'"),
        ({"source": "a", "target": []}, "no text in column 'target'"),
        ({"source": "a", "target": ["b", 1]}, "int instead of text in column 'target'"),
        ({"messages": [{"role": "user", "content": "a"}]}, "no dialogue"),
    ],
)
def test_problems_of_a_row_are_told(row, says):
    with pytest.raises(InputError, match=says):
        TASK.read(row, TASK.find(list(row), [row]))


@given(st.text(min_size=1).filter(str.strip))
def test_what_is_written_is_read_back(text):
    item = example("any", text.strip())
    assert TASK.parse(TASK.written(item), item) == item.answer
    assert TASK.parse(" \n", item) is None


def test_the_same_source_again_gives_another_reference():
    train = [example(f"s {n}", "t") for n in range(10)]
    dataset = make_dataset(
        "small", train, test=[example("new", "one"), example("NEW", "two")], task="generation"
    )
    assert dataset.test == (example("new", "one", "two"),)
    assert dataset.duplicates_removed == 1
    assert dataset.contradictions_removed == 0
    assert dataset.labels == ()


def test_scores_details_and_baselines():
    test = [example("One two. Three.", "eins zwei", "eins"), example("x", "y")]
    scores = TASK.score([("eins",), None], test)
    assert list(scores) == [metric.name for metric in TASK.metrics]
    assert (scores["exact_match"], scores["rouge_1"]) == (0.5, 0.5)
    assert TASK.score([("eins zwei",), ("y",)], test)["chrf"] == pytest.approx(1)
    (table,) = TASK.details([("eins zwei",), ("y",)], test)
    assert [row[1:] for row in table.rows] == [(1.0, 1.0, 1), (1.0, 9.0, 1)]
    found = TASK.baselines(test, [example("One. Two.", "One.")])
    assert found["first sentence"]["exact_match"] == 1
    assert found["copy"]["exact_match"] == 0

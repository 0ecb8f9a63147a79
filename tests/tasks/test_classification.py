import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import text_example
from fsl_jax.errors import InputError
from fsl_jax.tasks.classification import Classification

TASK = Classification()
COLUMNS = {"text": ("text",), "label": ("label",)}
TEST = [text_example(str(n), label) for n, label in enumerate("aab")]


def test_a_row_is_read():
    example = TASK.read({"text": " words ", "label": 2}, COLUMNS)
    assert example == text_example("words", "2")


def test_two_texts_are_parts_by_their_columns():
    row = {"premise": "It rains.", "hypothesis": "It is wet.", "label": "yes"}
    columns = TASK.find(list(row), [row])
    example = TASK.read(row, columns)
    assert example.parts == {"premise": "It rains.", "hypothesis": "It is wet."}


def test_problems_of_a_row_are_told():
    with pytest.raises(InputError) as error:
        TASK.read({"text": 1, "label": 1.5}, COLUMNS)
    assert len(error.value.problems) == 2


@given(st.sampled_from(["sport", "world news", "C++", "a b", "日本"]), st.booleans())
def test_what_is_written_is_read_back(label, in_words):
    example = text_example("any", label)
    text = TASK.written(example)
    labels = ("sport", "world news", "C++", "a b", "日本")
    assert TASK.parse(f"It is: {text}." if in_words else text, example, labels) == label
    assert TASK.parse(text, example) == label


def test_scores_details_and_baselines():
    scores = TASK.score(["a", None, "b"], TEST)
    assert list(scores) == [metric.name for metric in TASK.metrics]
    assert scores["accuracy"] == pytest.approx(2 / 3)
    titles = [table.title for table in TASK.details(["a", "b", "b"], TEST)]
    assert titles == ["By class", "Confusion"]
    train = [text_example("x", "b"), text_example("y", "a"), text_example("z", "b")]
    found = TASK.baselines(train, TEST)
    assert found["chance"] == {"accuracy": 0.5}
    assert found["majority"]["accuracy"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("labels", "recognised"),
    [
        (["a", "b"] * 3, True),
        ([0, 1] * 3, True),
        (["a", "b", "c", "d", "e", "f"], False),
        (["x" * 100, "y" * 100] * 3, False),
        ([0.5, 1.5] * 3, False),
        ([None] * 6, False),
    ],
)
def test_classes_come_again_and_are_short(labels, recognised):
    rows = [{"text": str(n), "rating": label} for n, label in enumerate(labels)]
    columns = {"text": ("text",), "label": ("rating",)}
    assert TASK.recognises(rows, columns) == recognised


@pytest.mark.parametrize(
    ("labels", "recognised"),
    [(list("abcdef"), True), (["x" * 100], True), ([0.5, 1.5], False), ([None], False)],
)
def test_a_column_of_labels_holds_classes_whatever_they_look_like(labels, recognised):
    rows = [{"text": str(n), "label": label} for n, label in enumerate(labels)]
    assert TASK.recognises(rows, COLUMNS) == recognised

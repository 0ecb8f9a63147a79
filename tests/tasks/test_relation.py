import pytest

from fsl_jax.data import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.relation import Relation

TASK = Relation()
ROW = {
    "tokens": ["Ann", "Lee", "met", "Bob"],
    "head": {"text": "ann lee", "positions": [0, 1]},
    "tail": {"text": "bob", "positions": [3]},
    "relation": "met",
}
PARTS = {"text": "@ Ann Lee @ met # Bob #", "head": "Ann Lee", "tail": "Bob"}


def test_a_row_with_numbers_of_words_is_read():
    columns = TASK.find(list(ROW), [ROW])
    assert TASK.recognises([ROW], columns)
    assert TASK.read(ROW, columns) == Example(PARTS, "met")


def test_a_row_with_marks_is_read():
    row = {"sentence": " <e1>Ann Lee</e1> met <e2>Bob</e2>", "relation": "met"}
    columns = TASK.find(list(row), [row])
    assert TASK.recognises([row], columns)
    assert TASK.read(row, columns) == Example(PARTS, "met")
    assert not TASK.recognises([row | {"sentence": "no marks"}], columns)


def test_places_of_characters_count_from_the_first_one():
    row = {"text": "  Ann met Bob", "head": {"start": 2, "end": 5}, "tail": "Bob", "label": 1}
    example = TASK.read(row, TASK.find(list(row), [row]))
    assert example.parts["text"] == "@ Ann @ met # Bob #"


def test_problems_of_a_row_are_told():
    with pytest.raises(InputError, match="an entity that is not found in the text"):
        TASK.read(ROW | {"head": "Eve"}, TASK.find(list(ROW), [ROW]))
    with pytest.raises(InputError, match="no marks"):
        TASK.read({"text": "plain", "label": "x"}, {"text": ("text",), "label": ("label",)})


def test_what_is_written_is_read_back():
    example = Example(PARTS, "met with")
    assert TASK.parse(TASK.written(example), example, ("met", "met with")) == "met with"


def test_scores_and_baselines_know_no_relation():
    test = [Example(PARTS, answer) for answer in ("met", "no_relation", "no_relation")]
    scores = TASK.score(["met", "no_relation", "met"], test)
    assert scores == {"accuracy": pytest.approx(2 / 3), "relation_f1": pytest.approx(2 / 3)}
    found = TASK.baselines(test, test)
    assert found["majority"] == {"accuracy": pytest.approx(2 / 3), "relation_f1": 0.0}
    assert found["majority of relations"]["relation_f1"] == 0.5
    assert "majority of relations" not in TASK.baselines(test[:1], test)

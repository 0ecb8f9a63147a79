import pytest

from fsl_jax.data.readers.squad import is_squad, squad_rows
from fsl_jax.data.rows import Rows

CONTEXT = "Normandy is in France."
QUESTION = {
    "id": "q1",
    "question": "Where is Normandy?",
    "answers": [{"text": "France", "answer_start": 15}, {"text": "in France", "answer_start": 12}],
}


def squad(*questions, context=CONTEXT):
    paragraphs = [{"context": context, "qas": list(questions)}]
    return {"version": "v2.0", "data": [{"title": "Normans", "paragraphs": paragraphs}]}


def read(value):
    assert is_squad(value)
    return squad_rows(value, Rows("rows.json", unit="row"))


def test_questions_have_the_columns_of_datasets():
    rows = read(squad(QUESTION))
    (row,) = rows.rows
    group = row.values.pop("group")
    assert row.number == 1
    assert row.values == {
        "id": "q1",
        "title": "Normans",
        "context": CONTEXT,
        "question": "Where is Normandy?",
        "answers": {"text": ["France", "in France"], "answer_start": [15, 12]},
        "is_impossible": False,
    }
    assert set(rows.columns) == {*row.values, "group"}
    assert len(group) == 16


def test_a_group_is_a_paragraph_wherever_it_stands():
    other = {**QUESTION, "id": "q2"}
    first, second = read(squad(QUESTION, other)).rows
    (third,) = read(squad(other, context="Another one.")).rows
    assert first.values["group"] == second.values["group"] != third.values["group"]


def test_a_question_may_have_no_answer_or_an_unknown_one():
    impossible = {"id": "q2", "question": "Who?", "answers": [], "is_impossible": True}
    first, second = read(squad(impossible, {"question": "When?"})).rows
    assert first.values["answers"] == {"text": [], "answer_start": []}
    assert first.values["is_impossible"] is True
    assert second.values["answers"] is None


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        ("text", "expected an object with a text `question`"),
        ({"question": 3}, "expected an object with a text `question`"),
        ({"question": "Who?", "answers": "him"}, "expected `answers` to be a list"),
        (
            {"question": "Who?", "answers": [{"text": "him", "answer_start": "3"}]},
            "expected `answers` to be a list",
        ),
    ],
)
def test_a_broken_question_is_named_by_its_place(question, problem):
    rows = read(squad(QUESTION, question, QUESTION))
    assert [row.number for row in rows.rows] == [1, 3]
    (message,) = rows.malformed
    assert message.startswith(f"question 2 (data[0].paragraphs[0].qas[1]): {problem}")


def test_broken_articles_and_paragraphs_are_named():
    value = squad(QUESTION)
    value["data"][0]["paragraphs"].append({"context": 3, "qas": []})
    value["data"].append({"title": "Empty"})
    rows = read(value)
    assert len(rows.rows) == 1
    assert rows.malformed == [
        "data[0].paragraphs[1]: expected a text `context` and a list `qas`",
        "data[1]: expected a list of paragraphs, found None",
    ]


@pytest.mark.parametrize("value", [None, [], {}, {"data": 3}, {"data": [{"text": "one"}]}])
def test_other_contents_are_no_questions(value):
    assert not is_squad(value)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.multiple_choice import MultipleChoice, choices

TASK = MultipleChoice()
TEXTS = ["a red fox", "a fox", "C"]


def example(answer, *texts):
    numbered = {f"choice {n}": text for n, text in enumerate(texts, 1)}
    return Example({"question": "Which?", **numbered}, answer)


def read(rows):
    columns = TASK.find(list(rows[0]), rows)
    assert TASK.recognises(rows, columns)
    return list(map(TASK.reader(rows, columns), rows))


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Which?", "choices": TEXTS, "answer": 1},
        {"question": "Which?", "choices": TEXTS, "answer": "B"},
        {"question": "Which?", "choices": TEXTS, "answer": "a fox"},
        {"question": "Which?", "options": TEXTS, "label": "1"},
        {
            "question": "Which?",
            "choices": {"text": TEXTS, "label": ["x", "y", "z"]},
            "answerKey": "y",
        },
        {
            "question": "Which?",
            "choices": [{"label": "A", "text": "a red fox"}, {"label": "B", "text": "a fox"}]
            + [{"label": "C", "text": "C"}],
            "answer": "B",
        },
        {"question": "Which?", "A": TEXTS[0], "B": TEXTS[1], "C": TEXTS[2], "answer": "B"},
        {"ctx": "Which?", "ending0": TEXTS[0], "ending1": TEXTS[1], "ending2": "C", "label": 1},
    ],
)
def test_rows_of_many_layouts_are_read(row):
    assert read([row]) == [example(1, *TEXTS)]


def test_numbers_start_from_1_if_no_answer_has_0():
    rows = [{"sentence": "Which?", "option1": "x", "option2": "y", "answer": a} for a in "12"]
    assert [each.answer for each in read(rows)] == [0, 1]
    rows = [{"goal": "Which?", "sol1": "x", "sol2": "y", "label": a} for a in (0, 1)]
    assert [each.answer for each in read(rows)] == [0, 1]
    rows = [{"goal": "Which?", "sol1": "x", "sol2": "y", "label": a} for a in "01"]
    assert [each.answer for each in read(rows)] == [0, 1]


def test_a_paragraph_and_two_parts_of_a_question_are_read():
    row = {"article": "Text.", "question": "Which?", "options": TEXTS, "answer": "C"}
    (found,) = read([row])
    assert (found.parts["context"], found.answer) == ("Text.", 2)
    row = {"sent1": "One.", "sent2": "Then", "ending0": "a", "ending1": "b", "label": 0}
    assert read([row])[0].parts["question"] == "One.\nThen"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answer": 4}, "an answer that is none of the choices in column 'answer'"),
        ({"answer": None}, "an answer that is none of the choices"),
        ({"answer": "D"}, "an answer that is none of the choices"),
        ({"choices": ["one"]}, "no list of 2 to 26 choices in column 'choices'"),
        ({"choices": ["one", ""]}, "no list of 2 to 26 choices"),
        ({"question": ""}, "empty text in column 'question'"),
    ],
)
def test_problems_of_a_row_are_told(change, says):
    row = {"question": "Which?", "choices": TEXTS, "answer": 1} | change
    columns = TASK.find(list(row), [row])
    with pytest.raises(InputError, match=says):
        TASK.read(row, columns)
    assert not TASK.recognises([row], columns)


@given(st.integers(0, 2), st.sampled_from(["{}", "({}) ", "{}.", "{}. because", "{}:"]))
def test_what_is_written_is_read_back(answer, form):
    item = example(answer, *TEXTS)
    assert TASK.parse(form.format(TASK.written(item)), item) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("A Fox", 1),
        ("It is a red fox, not a fox", 0),
        ("b", 1),
        ("D", None),
        ("nothing", None),
        ("", None),
    ],
)
def test_the_text_of_a_choice_is_read_too(text, answer):
    assert TASK.parse(text, example(0, "a red fox", "a fox", "two cats")) == answer


def test_scores_details_and_baselines():
    test = [example(0, "long one", "x"), example(1, "a", "b"), example(1, "a", "b", "c")]
    assert TASK.score([0, None, 2], test) == {"accuracy": pytest.approx(1 / 3)}
    (table,) = TASK.details([0, None, 2], test)
    assert table.rows == (("A", 1, 1, 1), ("B", 0, 2, 0), ("C", 1, 0, 0))
    found = TASK.baselines(test, test)
    assert found["chance"]["accuracy"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 3) / 3)
    assert found["majority"]["accuracy"] == pytest.approx(2 / 3)
    assert found["longest choice"]["accuracy"] == pytest.approx(1 / 3)
    assert choices(test[2]) == ["a", "b", "c"]

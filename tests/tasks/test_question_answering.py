import pytest

from fsl_jax.data import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.making import make_dataset
from fsl_jax.tasks.question_answering import QuestionAnswering

TASK = QuestionAnswering()
CONTEXT = " Paris is in France. Rome is in Italy."
ROW = {
    "id": "q1",
    "question": "Where is Rome?",
    "context": CONTEXT,
    "answers": {"text": ["Italy", "Italy", "in Italy"], "answer_start": [32, 32, 29]},
}
COLUMNS = TASK.find(list(ROW), [ROW])


def example(question, *answers, context=CONTEXT):
    return Example({"question": question, "context": context}, answers)


def test_a_row_is_read_with_different_answers_and_its_paragraph_as_group():
    found = TASK.read(ROW, COLUMNS)
    assert found.answer == (("Italy", 32), ("in Italy", 29))
    assert found.parts == {"question": "Where is Rome?", "context": CONTEXT}
    assert found.identity == "q1"
    assert found.group == TASK.read(ROW | {"question": "Where is Paris?"}, COLUMNS).group != ""


@pytest.mark.parametrize(
    ("answers", "read"),
    [
        ([{"text": "Rome", "answer_start": 21}], (("Rome", 21),)),
        ({"text": "Rome", "answer_start": 21}, (("Rome", 21),)),
        ({"text": [], "answer_start": []}, ()),
        ([], ()),
        ("", ()),
        ("Italy", (("Italy", 32),)),
    ],
)
def test_answers_have_several_layouts(answers, read):
    assert TASK.read(ROW | {"answers": answers}, COLUMNS).answer == read


def test_an_impossible_question_has_no_answer_even_if_one_is_plausible():
    columns = COLUMNS | {"impossible": ("is_impossible",)}
    assert TASK.read(ROW | {"is_impossible": True}, columns).answer == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers": {"text": ["Italy"], "answer_start": [31]}}, "is not at its offset"),
        ({"answers": {"text": ["Italy"], "answer_start": [-6]}}, "is not at its offset"),
        ({"answers": {"text": [""], "answer_start": [3]}}, "is not at its offset"),
        ({"answers": "Spain"}, "does not stand in column 'context'"),
        ({"answers": None}, "no answers with `text` and `answer_start`"),
        ({"answers": {"text": ["Italy"], "answer_start": ["32"]}}, "no answers with"),
        ({"answers": {"text": ["Italy"]}}, "no answers with"),
        ({"context": "  "}, "empty text in column 'context'"),
        ({"question": None}, "no text in column 'question'"),
    ],
)
def test_problems_of_a_row_are_told(change, says):
    with pytest.raises(InputError, match=says):
        TASK.read(ROW | change, COLUMNS)


@pytest.mark.parametrize("answers", [(), (("Italy", 32),), (("Paris is in", 1),)])
def test_what_is_written_is_read_back(answers):
    item = example("Where?", *answers)
    assert TASK.parse(TASK.written(item), item) == answers


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" italy\n", (("italy", 32),)),
        ("Spain", (("Spain", -1),)),
        ("Unanswerable.", ()),
        ("", None),
    ],
)
def test_other_answers_are_read(text, answer):
    assert TASK.parse(text, example("Where?")) == answer


def test_questions_on_one_paragraph_stay_on_one_side():
    items = [
        Example({"question": f"q {c} {n}", "context": f"c {c}"}, (("c", 0),), group=str(c))
        for c in range(20)
        for n in range(5)
    ]
    dataset = make_dataset("small", items, task="question_answering")
    split = TASK.draw(dataset, 20, 0)
    groups = [{e.group for e in part} for part in (split.train, split.validation, dataset.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert len(dataset.test) == 20


def test_scores_details_and_baselines():
    test = [example("Where is Rome?", ("in Italy", 29)), example("Where is Oslo?")]
    assert TASK.score([(("the Italy!", 1),), ()], test) == {
        "f1": pytest.approx((2 / 3 + 1) / 2),
        "exact_match": 0.5,
    }
    assert TASK.score([None, None], test) == {"f1": 0.0, "exact_match": 0.0}
    (table,) = TASK.details([None, ()], test)
    assert table.rows == (("answerable", 0, 0, 1), ("unanswerable", 1, 1, 1))
    found = TASK.baselines(test, test)
    assert found["no answer"]["f1"] == 0.5
    assert found["nearest sentence"]["f1"] == pytest.approx((2 * 2 / 6) / 2)


def test_copies_of_a_question_have_all_answers_unless_one_says_there_is_none():
    assert TASK.merged([(("a", 0),), (("b", 1), ("a", 0))]) == (("a", 0), ("b", 1))
    assert TASK.merged([(("a", 0),), ()]) is None


@pytest.mark.parametrize(
    ("answers", "recognised"),
    [
        (ROW["answers"], True),
        ([], True),
        ("Italy", True),
        ("something else", False),
        (True, False),
    ],
)
def test_it_is_recognised_by_answers_that_stand_in_the_paragraph(answers, recognised):
    assert TASK.recognises([ROW | {"answers": answers}], COLUMNS) == recognised

import pytest

from fsl_jax.errors import InputError
from fsl_jax.tasks.recognition import recognise

TWICE = range(20)
NER = {"tokens": ["In", "Rome"], "tags": ["O", "B-place"]}
RELATION = {"tokens": ["a", "b"], "head": {"positions": [0]}, "tail": {"positions": [1]}}
SQUAD = {"question": "Where?", "context": "In Rome", "answers": {"text": [], "answer_start": []}}


def table(**columns):
    return [{name: make(n) for name, make in columns.items()} for n in TWICE]


def text(n):
    return f"text {n}"


def few(n):
    return "ab"[n % 2]


@pytest.mark.parametrize(
    ("rows", "task", "columns"),
    [
        (table(text=text, label=few), "classification", {"text": ("text",), "label": ("label",)}),
        (
            table(text=text, label=few, fine_label=few),
            "classification",
            {"text": ("text",), "label": ("label",)},
        ),
        (
            table(premise=text, hypothesis=text, label=lambda n: n % 3),
            "classification",
            {"text": ("premise", "hypothesis"), "label": ("label",)},
        ),
        (
            table(sentence1=text, sentence2=text, score=lambda n: n / 4),
            "regression",
            {"text": ("sentence1", "sentence2"), "number": ("score",)},
        ),
        (
            table(text=text, labels=lambda n: ["a", "b"][: n % 3]),
            "multilabel",
            {"text": ("text",), "label": ("labels",)},
        ),
        (
            table(text=text, rude=lambda n: n % 2, kind=lambda n: 0),
            "multilabel",
            {"text": ("text",), "label": ("rude", "kind")},
        ),
        ([NER], "tagging", {"words": ("tokens",), "tags": ("tags",)}),
        (
            [RELATION | {"relation": "near"}],
            "relation",
            {"text": ("tokens",), "head": ("head",), "tail": ("tail",), "label": ("relation",)},
        ),
        (
            [SQUAD],
            "question_answering",
            {"question": ("question",), "context": ("context",), "answers": ("answers",)},
        ),
        (
            table(question=text, choices=lambda n: ["x", "y"], answer=lambda n: n % 2),
            "multiple_choice",
            {"question": ("question",), "choices": ("choices",), "answer": ("answer",)},
        ),
        (
            table(question=text, answer=text),
            "generation",
            {"source": ("question",), "target": ("answer",)},
        ),
        (
            table(utterance_de=text, absicht=few),
            "classification",
            {"text": ("utterance_de",), "label": ("absicht",)},
        ),
        (
            table(english=text, german=text),
            "generation",
            {"source": ("english",), "target": ("german",)},
        ),
    ],
)
def test_a_task_is_found_out(rows, task, columns, rows_of):
    found = recognise([rows_of(rows)])
    assert (found.task.name, found.columns) == (task, columns)
    assert task in found.sentence
    assert all(repr(name) in found.sentence for names in columns.values() for name in names)


def test_given_columns_go_before_usual_ones(rows_of):
    rows = [rows_of(table(text=text, label=few, topic=few, body=text))]
    found = recognise(rows, given={"label": "topic"})
    assert found.columns == {"text": ("text",), "label": ("topic",)}
    found = recognise(rows, given={"label": ["topic", "label"]})
    assert found.task.name == "multicolumn"
    assert found.columns["label"] == ("topic", "label")
    found = recognise(rows, "classification", {"text": "body"})
    assert found.columns == {"text": ("body",), "label": ("label",)}
    assert found.sentence.startswith("The task is classification")


def test_an_unknown_task_is_refused_with_similar_names(rows_of):
    with pytest.raises(InputError, match=r"unknown task .taging.\. Did you mean .tagging."):
        recognise([rows_of([NER])], "taging")


def test_columns_that_show_no_task_say_what_each_task_lacks(rows_of):
    with pytest.raises(InputError) as error:
        recognise([rows_of(table(text=text, number=lambda n: [n]))])
    says = str(error.value)
    assert "the columns 'text', 'number' show no task" in says
    assert "no column for the role 'label', such as 'label'" in says
    assert "tagging, entities in texts" in says
    assert len(error.value.problems) == 9


def test_a_task_that_the_columns_cannot_serve_says_what_they_could(rows_of):
    with pytest.raises(InputError) as error:
        recognise([rows_of(table(text=text, label=few))], "tagging")
    says = str(error.value)
    assert "cannot serve the task 'tagging'" in says
    assert "They could serve classification (text is 'text', label is 'label')" in says
    assert "no column for the role 'words', such as 'tokens', 'words'" in says


def test_values_that_do_not_fit_are_told(rows_of):
    with pytest.raises(InputError, match="the values do not look like it"):
        recognise([rows_of(table(tokens=text, tags=lambda n: [text(n)], other=text))])


@pytest.mark.parametrize(
    ("task", "given", "says"),
    [
        ("auto", {"txt": "text"}, "'txt' is no role that any task has"),
        ("tagging", {"word": "text"}, "Did you mean 'words'?"),
        ("auto", {"text": "text", "label": "text"}, "the column 'text' is named twice"),
    ],
)
def test_wrong_roles_are_refused(task, given, says, rows_of):
    with pytest.raises(InputError) as error:
        recognise([rows_of(table(text=text, label=few))], task, given)
    assert says in str(error.value)


def test_a_column_of_labels_holds_classes_however_long(rows_of):
    rows = [{"text": f"text {n}", "label": "w" * 100 + str(n)} for n in range(12)]
    assert recognise([rows_of(rows)]).task.name == "classification"

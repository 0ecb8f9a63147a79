import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import text_example
from fsl_jax.errors import InputError
from fsl_jax.tasks.making import make_dataset
from fsl_jax.tasks.multilabel import Multilabel

TASK = Multilabel()
LABELS = ("joy", "world joy", "fear, real", "none of it", "日本")


@pytest.mark.parametrize(
    ("label", "answer"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([], ()),
        ("b | a", ("a", "b")),
        ("b; a", ("a", "b")),
        ("", ()),
        ([2, 1], ("1", "2")),
    ],
)
def test_labels_are_a_list_or_a_text_with_separators(label, answer):
    row = {"text": "words", "label": label}
    assert TASK.read(row, {"text": ("text",), "label": ("label",)}).answer == answer


def test_columns_of_0_and_1_are_labels_by_their_names():
    rows = [{"text": "a", "toxic": 1, "rude": "0", "n": 7}, {"text": "b", "toxic": 0, "rude": 1}]
    columns = TASK.find(["text", "toxic", "rude", "n"], rows)
    assert columns["label"] == ("toxic", "rude")
    assert TASK.recognises(rows, columns)
    assert [TASK.read(row, columns).answer for row in rows] == [("toxic",), ("rude",)]


def test_problems_of_labels_are_told():
    with pytest.raises(InputError, match="no list of labels in column 'l'"):
        TASK.read({"t": "a", "l": None}, {"text": ("t",), "label": ("l",)})
    with pytest.raises(InputError, match="neither 0 nor 1 in column 'y'"):
        TASK.read({"t": "a", "x": 1, "y": 2}, {"text": ("t",), "label": ("x", "y")})


@given(st.sets(st.sampled_from(LABELS)))
def test_what_is_written_is_read_back(labels):
    example = text_example("any", tuple(sorted(labels)))
    assert TASK.parse(TASK.written(example), example, LABELS) == example.answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It shows joy and 日本.", ("joy", "日本")),
        ("None.", ()),
        ("something else", None),
        ("", None),
    ],
)
def test_labels_in_other_words_are_read(text, answer):
    assert TASK.parse(text, text_example("any", ()), LABELS) == answer


def test_a_split_has_each_label_k_times_and_texts_without_labels():
    train = [
        text_example(f"{labels} {n}", tuple(labels))
        for n in range(12)
        for labels in ("a", "b", "ab", "")
    ]
    split = TASK.draw(make_dataset("small", train, task="multilabel"), 3, 0)
    for part in (split.train, split.validation):
        for label in "ab":
            assert sum(label in example.answer for example in part) >= 3
        assert sum(example.answer == () for example in part) == 3


def test_scores_details_and_baselines():
    test = [text_example("x", ("a", "b")), text_example("y", ())]
    assert TASK.score([("a",), None], test) == {
        "micro_f1": pytest.approx(2 / 3),
        "macro_f1": 0.5,
        "subset_accuracy": 0.0,
    }
    assert TASK.details([("a",), ()], test)[0].rows[0] == ("a", 1, 1, 1, 1)
    found = TASK.baselines([*test, text_example("z", ())], test)
    assert found["all labels"]["micro_f1"] == pytest.approx(4 / 6)
    assert found["majority"]["subset_accuracy"] == 0.5
    assert TASK.renamed(test[0], {"b": "a"}).answer == ("a",)

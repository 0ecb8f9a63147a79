import pytest

from fsl_jax.data import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.making import make_dataset
from fsl_jax.tasks.tagging import Tagging

TASK = Tagging()
COLUMNS = {"words": ("tokens",), "tags": ("tags",)}


def example(text, *tags):
    return Example({"text": text}, tags)


def read(tokens, tags):
    return TASK.read({"tokens": tokens, "tags": tags}, COLUMNS)


def test_a_row_is_read():
    assert read(["In", "New", "York"], ["O", "I-LOC", "I-LOC"]) == example(
        "In New York", "O", "B-LOC", "I-LOC"
    )


def test_no_word_has_white_space_so_that_words_can_be_counted():
    assert read(["New York", "a\u00a0b"], ["O", "O"]).parts["text"] == "New_York a_b"


def test_of_several_tags_the_first_counts_and_it_is_said():
    rows = [{"tokens": ["a", "b"], "tags": ["B-x,B-y", "I-x"]}]
    assert TASK.read(rows[0], COLUMNS).answer == ("B-x", "I-x")
    assert TASK.remarks(rows, COLUMNS) == ["1 words have several tags, the first of which counts"]
    assert TASK.remarks([{"tokens": ["a"], "tags": None}], COLUMNS) == []


@pytest.mark.parametrize(
    ("tokens", "tags", "says"),
    [
        (["a"], ["O", "O"], "not as many tags as words in column 'tokens'"),
        (["a", " "], ["O", "O"], "an empty word"),
        (["a"], [3], "numbers need the names of their classes"),
        (["a"], None, "no list of tags"),
        ([], [], "no list of words"),
        ("text", ["O"], "no list of words"),
        (["a", 1], ["O", "O"], "a word that is no text"),
    ],
)
def test_problems_of_a_row_are_told(tokens, tags, says):
    with pytest.raises(InputError, match=says):
        read(tokens, tags)


@pytest.mark.parametrize(
    "tags",
    [
        ("O", "O", "O", "O"),
        ("B-place", "O", "B-place", "I-place"),
        ("O", "O", "B-person", "O"),
    ],
)
def test_what_is_written_is_read_back(tags):
    item = example("York and York City", *tags)
    assert TASK.parse(TASK.written(item), item, ("person", "place")) == tags
    assert TASK.parse("no idea", item, ("person", "place")) is None


def test_a_split_has_each_type_k_times_in_few_texts():
    texts = [example(f"A{n} b", f"B-{'xyz'[n % 3]}", "B-x" if n % 2 else "O") for n in range(60)]
    dataset = make_dataset("small", texts, task="tagging")
    assert dataset.labels == ("x", "y", "z")
    split = TASK.draw(dataset, 4, 3)
    for part in (split.train, split.validation):
        for kind in "xyz":
            assert sum(f"B-{kind}" in each.answer for each in part) >= 4
        assert len(part) <= 12


def test_scores_details_and_baselines():
    train = [example("in York City", "O", "B-place", "I-place"), example("Ann", "B-person")]
    test = [example("Ann likes York City", "B-person", "O", "B-place", "I-place")]
    assert TASK.score([("B-person", "O", "B-place", "O")], test) == {
        "entity_f1": 0.5,
        "entity_precision": 0.5,
        "entity_recall": 0.5,
    }
    assert TASK.score([None], test)["entity_f1"] == 0
    by_type, by_tag = TASK.details([("B-person", "O", "B-place", "O")], test)
    assert [row[0] for row in by_type.rows] == ["person", "place"]
    assert [row[0] for row in by_tag.rows] == ["B-person", "B-place", "I-place"]
    found = TASK.baselines(train, test)
    assert found["no entities"]["entity_f1"] == 0
    assert found["entities of train"]["entity_f1"] == 1
    assert TASK.renamed(test[0], {"place": "loc"}).answer == ("B-person", "O", "B-loc", "I-loc")


def test_it_is_recognised_by_lists_of_the_same_length():
    rows = [{"tokens": ["a", "b"], "tags": ["O", "O"]}]
    assert TASK.recognises(rows, COLUMNS)
    assert not TASK.recognises([*rows, {"tokens": ["a"], "tags": []}], COLUMNS)
    assert not TASK.recognises([{"tokens": "a", "tags": "O"}], COLUMNS)
    assert TASK.problems(()) == ["no word of train has another tag than O"]

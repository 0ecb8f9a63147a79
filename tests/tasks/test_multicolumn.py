import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import Example
from fsl_jax.tasks.making import make_dataset
from fsl_jax.tasks.multicolumn import Multicolumn, labels_by_column

TASK = Multicolumn()
COLUMNS = {"text": ("text",), "label": ("topic", "urgency")}
LABELS = ("topic=sport", "topic=world sport", "urgency=high", "urgency=low")


def example(text, *answer):
    return Example({"text": text}, answer, names=("topic", "urgency"))


def test_a_row_is_read_and_its_labels_know_their_columns():
    found = TASK.read({"text": "goal", "urgency": 3, "topic": "sport"}, COLUMNS)
    assert found == example("goal", "sport", "3")
    assert TASK.labels([found, example("x", "art", "2")]) == (
        "topic=art",
        "topic=sport",
        "urgency=2",
        "urgency=3",
    )


def test_labels_stay_in_the_order_of_the_columns():
    turned = Example({"text": "x"}, ("b", "a"), names=("z", "a"))
    assert labels_by_column(TASK.labels([turned])) == {"z": ("b",), "a": ("a",)}
    unnamed = Example({"text": "x"}, ("b", "a"))
    assert TASK.labels([unnamed]) == ("label 1=b", "label 2=a")


@given(st.sampled_from(["sport", "world sport"]), st.sampled_from(["high", "low"]))
def test_what_is_written_is_read_back(topic, urgency):
    written = example("any", topic, urgency)
    assert TASK.written(written) == f"topic: {topic}; urgency: {urgency}"
    assert TASK.parse(TASK.written(written), written, LABELS) == (topic, urgency)
    turned = f"Urgency: {urgency}\nTopic: {topic}"
    assert TASK.parse(turned, written, LABELS) == (topic, urgency)
    assert TASK.parse(f"topic: {topic}", written, LABELS) is None


def test_a_split_has_each_label_of_each_column_k_times():
    train = [example(f"{t} {u} {n}", t, u) for n in range(12) for t in "abc" for u in "xy"]
    dataset = make_dataset("small", train, task="multicolumn")
    split = TASK.draw(dataset, 2, 0)
    for part in (split.train, split.validation):
        for column, label in ((0, "a"), (0, "b"), (0, "c"), (1, "x"), (1, "y")):
            assert sum(each.answer[column] == label for each in part) >= 2


def test_scores_details_and_baselines():
    test = [example("1", "a", "x"), example("2", "b", "x")]
    scores = TASK.score([("a", "x"), None], test)
    assert (scores["accuracy"], scores["all_columns"]) == (0.5, 0.5)
    assert TASK.score([("a", "x"), ("a", "x")], test)["accuracy"] == 0.75
    titles = [table.title for table in TASK.details([("a", "x"), ("a", "x")], test)]
    assert titles[0] == "By column"
    assert {"By class of topic", "Confusion of urgency"} <= set(titles)
    found = TASK.baselines([*test, example("3", "b", "y")], test)
    assert found["chance"] == {"accuracy": 0.5}
    assert found["majority"]["accuracy"] == 0.75
    assert TASK.renamed(test[0], {"topic=a": "topic=b"}).answer == ("b", "x")


def test_a_column_needs_two_classes():
    assert "column 'urgency'" in TASK.problems(("topic=a", "topic=b", "urgency=low"))[0]


@pytest.mark.parametrize(
    ("second", "recognised"), [(["x", "y"] * 3, True), (list("uvwxyz"), False)]
)
def test_it_is_recognised_by_classes_in_each_column(second, recognised):
    rows = [{"text": "t", "topic": n % 2, "urgency": each} for n, each in enumerate(second)]
    assert TASK.recognises(rows, COLUMNS) == recognised

import pytest

from fsl_jax.data import Example, text_example
from fsl_jax.errors import InputError
from fsl_jax.tasks.making import label_problems, make_dataset
from fsl_jax.tasks.reading import Place
from fsl_jax.tasks.registry import find_task


def texts(part, count=20):
    return [text_example(f"{part} {n}", "ab"[n % 2]) for n in range(count)]


def test_near_duplicates_of_the_test_set_are_counted_and_named():
    long = "this is a long text with quite a few words in it about the weather of today and more"
    train = [*texts("train"), text_example(f"{long} again", "a")]
    dataset = make_dataset("small", train, test=[*texts("test"), text_example(long, "a")])
    assert dataset.near_duplicates == 1
    assert "1 examples to train or validate on are almost the same" in dataset.remarks[0]
    assert "again" not in dataset.remarks[0].partition(" and 'this")[2]
    assert make_dataset("small", texts("train")).near_duplicates == 0


def test_a_group_is_in_one_part_alone():
    train = [Example({"text": f"{g} {n}"}, "ab"[n % 2], group=g) for g in "xyz" for n in range(4)]
    test = [Example({"text": f"test {n}"}, "ab"[n % 2], group="x") for n in range(4)]
    dataset = make_dataset("small", train, test=test)
    assert {example.group for example in dataset.train} == {"y", "z"}
    assert dataset.duplicates_removed == 4
    assert "4 rows were removed whose group is in another part" in dataset.remarks


def test_a_fixed_fifth_is_made_of_whole_groups():
    train = [
        Example({"text": f"{g} {n}"}, "ab"[n % 2], group=str(g))
        for g in range(10)
        for n in range(4)
    ]
    dataset = make_dataset("small", train)
    groups = [{e.group for e in part} for part in (dataset.train, dataset.test)]
    assert not groups[0] & groups[1]
    assert len(dataset.test) == 8


def test_places_of_unknown_labels_are_told():
    task = find_task("classification")
    parts = {"train": texts("train"), "test": [text_example("x", "c"), text_example("y", "c")]}
    places = {"test": [Place("test.csv", "line", 7), Place("test.csv", "line", 9)]}
    assert label_problems(task, parts, places) == [
        "test.csv: label 'c' is in test (2 times) and not in train, line 7, 9"
    ]


def test_a_task_has_demands_of_its_labels():
    words = [Example({"text": str(n)}, ("O",)) for n in range(20)]
    with pytest.raises(InputError, match="no word of train has another tag than O"):
        make_dataset("small", words, task="tagging")
    with pytest.raises(InputError, match="unknown task"):
        make_dataset("small", words, task="tags")

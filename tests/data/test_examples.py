import dataclasses

from fsl_jax.data import Dataset, text_example

DATASET = Dataset(
    name="weather",
    train=(text_example("sun", "good"), text_example("rain", "bad")),
    validation=(text_example("cloud", "bad"),),
    test=(text_example("breeze", "good"),),
    labels=("bad", "good"),
)


def test_fingerprint_ignores_where_the_examples_came_from():
    moved = dataclasses.replace(DATASET, name="elsewhere", duplicates_removed=3)
    assert moved.sha256 == DATASET.sha256
    assert len(DATASET.sha256) == 64


def test_fingerprint_notices_every_change_of_the_examples():
    changes = (
        {"train": DATASET.train[::-1]},
        {"train": (text_example("sun", "bad"), DATASET.train[1])},
        {"train": (text_example("sun ", "good"), DATASET.train[1])},
        {"validation": ()},
        {"validation": DATASET.test, "test": DATASET.validation},
        {"train": DATASET.train + DATASET.validation, "validation": ()},
    )
    fingerprints = {dataclasses.replace(DATASET, **change).sha256 for change in changes}
    assert len(fingerprints | {DATASET.sha256}) == len(changes) + 1

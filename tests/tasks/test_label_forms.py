from fsl_jax.data import text_example
from fsl_jax.tasks.classification import Classification
from fsl_jax.tasks.label_forms import hint, one_form


def examples(*labels):
    return [text_example(str(n), label) for n, label in enumerate(labels)]


def test_the_most_frequent_form_in_train_is_taken():
    parts = {"train": examples("b", "B", "b", "c"), "test": examples("B", "B", "B", "C", "d")}
    assert one_form(Classification(), parts) == {"B": "b", "C": "c"}


def test_labels_that_look_the_same_are_named():
    assert "'CAF\u00c9' and 'cafe\u0301'" in hint(["caf\u00e9e", "CAF\u00c9", "cafe\u0301"])
    assert hint(["a", "b"]) == ""

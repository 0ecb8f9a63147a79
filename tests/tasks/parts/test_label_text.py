import pytest

from fsl_jax.tasks.parts.label_text import find_label, find_labels

LABELS = ("sport", "world sport", "not sport", "C++", "Straße")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("sport", "sport"),
        (" World  Sport.\n", "world sport"),
        ("It is not sport, it is sport", "not sport"),
        ("The topic is SPORT", "sport"),
        ("I like c++!", "C++"),
        ("STRASSE", "Straße"),
        ("sports", None),
        ("", None),
    ],
)
def test_a_label_is_found_by_its_words(text, label):
    assert find_label(text, LABELS) == label


def test_all_labels_are_found_once_in_the_order_of_the_text():
    assert find_labels("C++ and world sport, then sport and C++", LABELS) == [
        "C++",
        "world sport",
        "sport",
    ]
    assert find_labels("anything", []) == []


def test_without_labels_the_text_is_one():
    assert find_label(" new label \n", ()) == "new label"
    assert find_label("  ", ()) is None


def test_the_same_form_is_taken_before_another_one_that_looks_like_it():
    assert find_label("b", ("B", "b")) == "b"

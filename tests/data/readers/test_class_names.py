import pytest

from fsl_jax.data.readers.class_names import holds_no_text, names_in, with_names
from fsl_jax.errors import InputError

CLASSES = {"_type": "ClassLabel", "names": ["no", "yes"]}
NAMES = ("no", "yes")


@pytest.mark.parametrize(
    ("features", "names"),
    [
        (CLASSES, NAMES),
        ({"_type": "Value", "dtype": "string"}, None),
        ({"_type": "List", "feature": CLASSES}, [NAMES]),
        ({"_type": "Sequence", "feature": {"label": CLASSES}, "length": -1}, [{"label": NAMES}]),
        ([CLASSES], [NAMES]),
        ({"label": CLASSES}, {"label": NAMES}),
        ({"label": {"_type": "Value"}}, None),
        (None, None),
    ],
)
def test_names_are_where_the_features_have_classes(features, names):
    found = names_in(features, "rows.parquet", "label")
    assert found == names if not isinstance(names, dict) else found["label"] == names["label"]


@pytest.mark.parametrize("names", [None, "no", ["no", 1], ["no", "no "]])
def test_names_that_cannot_be_used_are_refused(names):
    with pytest.raises(InputError, match=r"rows\.parquet: .* column 'label'"):
        names_in({"_type": "ClassLabel", "names": names}, "rows.parquet", "label")


@pytest.mark.parametrize(
    ("value", "names", "named"),
    [
        (1, NAMES, "yes"),
        (-1, NAMES, None),
        (None, NAMES, None),
        ([0, -1, 1], [NAMES], ["no", None, "yes"]),
        ([[0], []], [[NAMES]], [["no"], []]),
        ({"label": 1, "text": "a"}, {"label": NAMES}, {"label": "yes", "text": "a"}),
        ([{"label": 1}], [{"label": NAMES}], [{"label": "yes"}]),
        ({"label": [1, 0]}, [{"label": NAMES}], {"label": ["yes", "no"]}),
        ("text", None, "text"),
    ],
)
def test_names_stand_for_numbers(value, names, named):
    assert with_names(value, names) == named


@pytest.mark.parametrize("value", [2, -2, "yes", 0.5])
def test_a_class_without_a_name_is_an_error(value):
    with pytest.raises(ValueError, match="and the schema names classes 0 to 1"):
        with_names([value], [NAMES])


def test_pictures_hold_no_text():
    assert holds_no_text({"_type": "Image"})
    assert not holds_no_text(CLASSES)
    assert not holds_no_text(None)

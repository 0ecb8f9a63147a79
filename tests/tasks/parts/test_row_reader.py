import pytest

from fsl_jax.errors import InputError
from fsl_jax.tasks.parts.row_reader import RowReader, value_of


def test_a_dot_leads_into_a_mapping_unless_a_column_has_this_name():
    row = {"translation": {"de": {"text": "Hallo"}}, "a.b": 1, "a": {"b": 2}}
    assert value_of(row, "translation.de.text") == "Hallo"
    assert value_of(row, "a.b") == 1
    assert value_of(row, "translation.fr.text") is None
    assert value_of(row, "missing") is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "no text"),
        ("", "empty text"),
        (" \n", "empty text"),
        (3, "int instead of text"),
        ("half \ud83d", "half a surrogate pair"),
    ],
)
def test_what_is_no_text_is_a_problem(value, says):
    reader = RowReader({"t": value}, {"text": ("t",)})
    assert isinstance(reader.text("text"), str)
    assert [says in problem and "'t'" in problem for problem in reader.problems] == [True]


@pytest.mark.parametrize(
    ("value", "label"), [(" a ", "a"), (3, "3"), (True, "true"), (False, "false"), ("1.0", "1.0")]
)
def test_labels_are_texts_whole_numbers_and_booleans(value, label):
    reader = RowReader({"l": value}, {"label": ("l",)})
    assert (reader.label("label"), reader.problems) == (label, [])


@pytest.mark.parametrize("value", [None, "", " ", 1.5, ["a"], {"a": 1}])
def test_what_is_no_label_is_a_problem(value):
    reader = RowReader({"l": value}, {"label": ("l",)})
    reader.label("label")
    assert len(reader.problems) == 1


@pytest.mark.parametrize(("value", "number"), [(3, 3.0), ("2.5", 2.5), (-1.5, -1.5), ("1e3", 1e3)])
def test_numbers_may_be_written_as_text(value, number):
    reader = RowReader({"n": value}, {"number": ("n",)})
    assert (reader.number("number"), reader.problems) == (number, [])


@pytest.mark.parametrize("value", [None, "", "many", True, float("nan"), "inf", [1]])
def test_what_is_no_number_is_a_problem(value):
    reader = RowReader({"n": value}, {"number": ("n",)})
    reader.number("number")
    assert len(reader.problems) == 1


def test_all_problems_of_a_row_are_told_at_once():
    reader = RowReader({"t": "", "l": None}, {"text": ("t",), "label": ("l",)})
    parts, label = reader.texts("text"), reader.label("label")
    with pytest.raises(InputError) as error:
        reader.example(parts, label)
    assert error.value.problems == ("empty text in column 't'", "no label in column 'l'")


def test_an_example_keeps_its_row_its_group_and_its_identifier():
    row = {"a": " one ", "b": "two", "n": 7, "g": 3}
    columns = {"text": ("a", "b"), "identity": ("n",), "group": ("g",)}
    reader = RowReader(row, columns)
    example = reader.example(reader.texts("text"), "x", group="own")
    assert example.parts == {"a": "one", "b": "two"}
    assert (example.identity, example.group, example.row) == ("7", "3", row)
    assert RowReader(row, {"text": ("a",)}).texts("text") == {"text": "one"}

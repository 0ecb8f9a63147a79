import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.tasks.parts.marked_entities import head_and_tail, mark, marked_already
from fsl_jax.tasks.parts.row_reader import RowReader

COLUMNS = {"head": ("h",), "tail": ("t",)}
WORDS = ["Ann", "Lee", "met", "Bob"]
TEXT = " ".join(WORDS)


@given(st.data())
def test_without_its_marks_the_text_is_what_it_was(data):
    ends = st.lists(st.integers(0, len(TEXT)), min_size=2, max_size=2, unique=True).map(sorted)
    head, tail = (tuple(data.draw(ends)) for _ in range(2))
    marked = mark(TEXT, head, tail)
    plain = marked
    for symbol in ("@ ", " @", "# ", " #"):
        plain = plain.replace(symbol, "")
    assert plain == TEXT
    assert marked.index("@ ") <= marked.rindex(" @")


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        ({"positions": [0, 1]}, {"positions": [3]}),
        ({"text": "ann lee", "positions": [[0, 1], [3]]}, {"pos": [3]}),
        (["ann lee", "Q1", [[0, 1]]], ["bob", "Q2", [[3]]]),
        ({"start": 0, "end": 2}, {"start": 3, "end": 4}),
        ("Ann Lee", "bob"),
    ],
)
def test_entities_are_given_by_words_or_their_numbers(head, tail):
    reader = RowReader({"h": head, "t": tail}, COLUMNS)
    spans = head_and_tail(reader, TEXT, WORDS)
    assert (spans, reader.problems) == (((0, 7), (12, 15)), [])
    assert mark(TEXT, *spans) == "@ Ann Lee @ met # Bob #"


def test_without_words_places_are_those_of_characters():
    reader = RowReader({"h": {"start": 4, "end": 7}, "t": {"start": 12, "end": 15}}, COLUMNS)
    assert head_and_tail(reader, TEXT, None) == ((4, 7), (12, 15))


@pytest.mark.parametrize(
    "value",
    [None, "Eve", "", [], {}, {"positions": [9]}, {"positions": []}, {"start": 3, "end": 3}]
    + [{"positions": ["0"]}, {"start": -1, "end": 2}, 7],
)
def test_an_entity_that_is_not_there_is_a_problem(value):
    reader = RowReader({"h": value, "t": "Bob"}, COLUMNS)
    head_and_tail(reader, TEXT, WORDS)
    assert reader.problems == ["an entity that is not found in the text in column 'h'"]


def test_marks_in_the_text_are_read():
    marked = "<e2>Ann</e2> met <e1>Bob</e1>."
    assert marked_already(marked) == ("Ann met Bob.", (8, 11), (0, 3))
    for broken in ("<e1>Ann</e1> met Bob", f"{marked} <e1>", "<e1></e1> and <e2>Bob</e2>"):
        assert marked_already(broken) is None

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.tasks.parts.iob import entities, to_iob2
from fsl_jax.tasks.parts.written_entities import read_entities, write_entities

TYPES = ("person", "creative-work", "organisation")
WORDS = "Paris is a person ; none , The Paris paris ( 2 ) (2) Élan 東京".split()
TAGS = ["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")]


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(TAGS)), max_size=8))
def test_what_is_written_is_read_back_as_far_as_words_tell_it(drawn):
    words, tags = [word for word, _ in drawn], to_iob2([tag for _, tag in drawn])
    found = entities(tags)
    tricky = any(
        " is a" in f" {' '.join(words[start:end])}" or set(words[start:end]) & {";", ",", "none"}
        for _, start, end in found
    )
    if not tricky:
        assert read_entities(write_entities(words, found), words, TYPES) == found


def test_a_list_is_in_words():
    words = "Angela Merkel lives in Berlin".split()
    found = [("person", 0, 2), ("organisation", 4, 5)]
    written = "Angela Merkel is a person; Berlin is an organisation"
    assert write_entities(words, found) == written
    assert read_entities(written, words, ()) == found
    assert write_entities(words, []) == "none"


def test_the_place_is_told_where_words_do_not_tell_it():
    words = "Paris loves Paris".split()
    assert write_entities(words, [("person", 2, 3)]) == "Paris (2) is a person"
    assert read_entities("Paris (2) is a person", words, TYPES) == [("person", 2, 3)]
    both = [("person", 0, 1), ("person", 2, 3)]
    assert write_entities(words, both) == "Paris is a person; Paris is a person"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("angela merkel is a person.", [("person", 0, 2)]),
        ("Berlin is a Person\nAngela is a person", [("person", 4, 5), ("person", 0, 1)]),
        ("Obama is a person; Berlin is a person", [("person", 4, 5)]),
        ("Berlin is a person; Berlin is a person", [("person", 4, 5)]),
        ("Angela Merkel is a person; Merkel is a person", [("person", 0, 2)]),
        ("Berlin (7) is a person", []),
        ("None.", []),
        ("", []),
        ("I do not know", None),
        ("Berlin is a city", None),
    ],
)
def test_lists_of_models_are_read(text, found):
    words = "Angela Merkel lives in Berlin".split()
    assert read_entities(text, words, TYPES) == found

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.tasks.parts.iob import entities, tag_set, tags_of, to_iob2

TAGS = ["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("PER", "LOC"))]


@pytest.mark.parametrize(
    ("scheme", "tags", "written"),
    [
        ("IOB1", "I-PER I-PER B-PER O I-LOC", "B-PER I-PER B-PER O B-LOC"),
        ("IOBES", "B-PER E-PER S-PER O S-LOC", "B-PER I-PER B-PER O B-LOC"),
        ("BILOU", "B-PER L-PER U-PER O U-LOC", "B-PER I-PER B-PER O B-LOC"),
        ("types alone", "PER PER O LOC art-film", "B-PER I-PER O B-LOC B-art-film"),
        ("ill-formed", "O I-PER I-LOC I-LOC", "O B-PER B-LOC I-LOC"),
        ("after the last", "S-PER I-PER", "B-PER B-PER"),
    ],
)
def test_other_schemes_are_written_in_iob2(scheme, tags, written):
    assert to_iob2(tags.split()) == tuple(written.split())


@given(st.lists(st.sampled_from(TAGS)))
def test_entities_and_tags_stand_for_each_other(tags):
    written = to_iob2(tags)
    assert to_iob2(written) == written
    assert tags_of(entities(tags), len(tags)) == written
    assert entities(tags) == entities(written)


def test_the_set_of_tags_has_two_of_each_type():
    assert tag_set(("LOC", "PER")) == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")

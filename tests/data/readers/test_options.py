import pytest

from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError


@pytest.mark.parametrize(
    ("separator", "character"),
    [(None, None), ("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), ("semicolon", ";"), ("|", "|")],
)
def test_separators_have_names(separator, character):
    assert ReadOptions(separator=separator).separator_character == character


def test_all_that_cannot_be_is_said_at_once():
    with pytest.raises(InputError) as error:
        ReadOptions(encoding="utf-9", separator="::", max_rows=0)
    for problem in ("no encoding 'utf-9'", "separator '::' is neither", "max_rows is 0"):
        assert problem in str(error.value)


@pytest.mark.parametrize("encoding", ["hex", "", "\0", "utf-9"])
def test_names_of_other_codecs_are_no_encodings(encoding):
    if encoding:
        with pytest.raises(InputError, match="no encoding"):
            ReadOptions(encoding=encoding)


@pytest.mark.parametrize("separator", ["", '"', "\n"])
def test_characters_with_a_meaning_of_their_own_are_no_separators(separator):
    with pytest.raises(InputError, match="the separator"):
        ReadOptions(separator=separator)

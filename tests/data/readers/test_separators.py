import pytest

from fsl_jax.data.readers.separators import found_separator


@pytest.mark.parametrize("usual", [",", "\t"])
@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("text,label\none; two; three,a\n", ","),
        ("text;label\none, two;a\n", ";"),
        ("text\tlabel\none, two; three\ta\n", "\t"),
        ("id;text, or title;label\n1;one;a\n2;two, three, four;b\n", ";"),
        ('text,label\n"one\n;two",a\n', ","),
    ],
)
def test_it_is_the_one_that_rows_agree_on(text, separator, usual):
    assert found_separator(text, usual) == separator


@pytest.mark.parametrize("usual", [",", "\t"])
@pytest.mark.parametrize("text", ["", "text\none\n", "a,b;c\td\n1,2;3\t4\n"])
def test_the_usual_one_is_taken_where_nothing_decides(text, usual):
    assert found_separator(text, usual) == usual


def test_broken_quotes_are_not_fatal():
    assert found_separator('text;label\n"one;a\n', ",") == ";"

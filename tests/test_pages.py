"""A table between marks is replaced, the text around it stays, and marks are required."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.pages import require_marks, write_between


def test_what_stands_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Before\n<!-- a -->old<!-- b -->\nAfter\n")
    for _ in range(2):
        write_between(page, "<!-- a -->", "<!-- b -->", "new")
        assert page.read_text() == "Before\n<!-- a -->\n\nnew\n\n<!-- b -->\nAfter\n"


@pytest.mark.parametrize(
    ("text", "counts"),
    [("<!-- a -->", "1 and 0"), ("<!-- b --><!-- a -->", "1 and 1"), ("ab" * 2, "0 and 0")],
)
def test_a_page_without_its_marks_stays_as_it_was(tmp_path, text, counts):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InputError, match=f"once each and in that order, found {counts}"):
        write_between(page, "<!-- a -->", "<!-- b -->", "new")
    assert page.read_text() == text


def test_a_page_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"page\.md: there is no such page"):
        require_marks(tmp_path / "page.md", "<!-- a -->", "<!-- b -->")

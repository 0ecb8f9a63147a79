import pytest

from fsl_jax.errors import InputError
from fsl_jax.tasks.given_columns import parse_columns, with_usual_roles


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("text:review", {"text": ("review",)}),
        (" text : a + b , label:c ", {"text": ("a", "b"), "label": ("c",)}),
        (
            '{"text": "a, b: c", "label": ["x+y"]}',
            {"text": ("a, b: c",), "label": ("x+y",)},
        ),
    ],
)
def test_each_role_has_its_columns(text, expected):
    assert parse_columns(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("review", "'review' is no role with its columns"),
        ("text:", "'text:' is no role with its columns"),
        (":a", "':a' is no role with its columns"),
        ("text:a++b", "'text:a[+][+]b' is no role with its columns"),
        ("text:a,text:b", "'text' is given twice: join its columns by [+]"),
        ('{"text": 3}', "'text' has '?3'?: expected the name of a column"),
        ('{"text": []}', "expected the name of a column"),
        ('{"text": ', "columns"),
    ],
)
def test_what_cannot_be_read_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        parse_columns(text)


def test_the_usual_roles_can_be_given_alone():
    assert with_usual_roles({}, "", "") == {}
    assert with_usual_roles({"label": "a"}, "b", "") == {"label": "a", "text": "b"}
    with pytest.raises(InputError, match="'label' is given twice"):
        with_usual_roles({"label": "a"}, "", "b")

import pytest
from fuzzing import read_damaged

from fsl_jax.errors import InputError
from fsl_jax.json_reader import MAX_DEPTH, parse_json, read_json


def test_a_value_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"width": 8, "rates": [0.5, -1e-3], "name": "café", "none": null}')
    assert read_json(path) == {"width": 8, "rates": [0.5, -1e-3], "name": "café", "none": None}
    assert parse_json(b"[1, 2]", "list", kind=list) == [1, 2]
    assert parse_json(str(2**64 - 1).join("[]"), "list", kind=list) == [2**64 - 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "the name 'a' is given twice in one object"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "the name 'b' is given twice in one object"),
        ('{"a": NaN}', "NaN is not a number in JSON"),
        ('{"a": -Infinity}', "-Infinity is not a number in JSON"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": 18446744073709551616}', "needs more than 64 bits"),
        ('{"a": ' + "9" * 10_000 + "}", "needs more than 64 bits"),
        ("[" * 100_000, "nested more than 64 deep"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested more than 64 deep"),
        ('{"a": ' * 100 + "1" + "}" * 100, "nested more than 64 deep"),
        ('{"a": 1', "line 1 column 8"),
        ("", "Expecting value"),
        ("[1]", "expected an object in JSON, found a list"),
        ('"text"', "expected an object in JSON, found a text"),
        ("17", "expected an object in JSON, found 17"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(InputError, match=r"^config\.json: ") as refused:
        parse_json(text, "config.json")
    assert message in str(refused.value)


def test_bytes_that_are_not_text_are_refused():
    with pytest.raises(InputError, match="byte 7 is not UTF-8"):
        parse_json(b'{"a": "\xff"}', "config.json")


def test_the_deepest_value_is_read():
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert parse_json(text, "lists", kind=list)


def test_a_large_file_is_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": 1}   ')
    with pytest.raises(InputError, match="at most 8 are read here"):
        read_json(path, max_bytes=8)


def test_damaged_files_are_read_or_refused():
    seeds = [b'{"width": 8, "rates": [0.5, -1e-3], "name": "caf\\u00e9", "more": {"a": null}}']
    read_damaged(lambda data: parse_json(data, "config.json"), seeds)

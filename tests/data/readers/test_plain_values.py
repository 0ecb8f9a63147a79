import datetime
import decimal

import numpy as np
import pytest

from fsl_jax.data.readers.plain_values import plain_value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        (float("nan"), None),
        (np.float32("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([b"a", b"b"], object), ["a", "b"]),
        ("text", "text"),
        ("café".encode(), "café"),
        ({"a": [b"x", np.int64(1)]}, {"a": ["x", 1]}),
        ((1, 2), [1, 2]),
        (decimal.Decimal("1.5"), 1.5),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (datetime.datetime(2024, 2, 29, 12, 30), "2024-02-29T12:30:00"),
        (datetime.timedelta(days=1), "1 day, 0:00:00"),
    ],
)
def test_values_are_those_of_json(value, plain):
    found = plain_value(value)
    assert found == plain
    assert type(found) is type(plain)


def test_bytes_that_are_no_text_are_an_error():
    with pytest.raises(UnicodeDecodeError):
        plain_value([b"caf\xe9"])

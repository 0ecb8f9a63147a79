"""Turn the values of other libraries into those of JSON."""

import datetime
import decimal
import math
from collections.abc import Mapping
from typing import Any


def plain_value(value: Any) -> Any:
    """Return a value as a text, number, boolean, list, dict or None.

    Args:
      value: the value. Bytes are taken for UTF-8, since some writers do not mark texts as such. A
        number that is NaN is a missing value, as it is for pandas.

    Returns:
      The value; times are texts in ISO 8601, and whatever has no such form is its text.

    Raises:
      UnicodeDecodeError: bytes are no text.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        return {str(name): plain_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    if hasattr(value, "tolist"):  # The arrays and numbers of NumPy.
        return plain_value(value.tolist())
    if isinstance(value, decimal.Decimal):
        return plain_value(float(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)

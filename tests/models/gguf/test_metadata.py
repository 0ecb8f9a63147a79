"""Looking up values of metadata; `test_reader.py` reads the metadata of files."""

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.metadata import metadata_value


def test_a_value_has_the_type_that_is_asked_for():
    assert metadata_value({"a": 3}, "a", int, None) == 3
    assert metadata_value({"a": 3}, "b", int, 7) == 7
    with pytest.raises(InputError, match="hold a bool as a, not a int"):
        metadata_value({"a": True}, "a", int, None)

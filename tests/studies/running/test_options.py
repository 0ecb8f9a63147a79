"""Options are checked like flags, also where Python code makes them."""

import math

import pytest

from fsl_jax.errors import InputError
from fsl_jax.studies.running.options import RunOptions


def test_numbers_that_only_python_uses_may_be_infinite():
    assert RunOptions(checkpoint_seconds=math.inf).checkpoint_seconds == math.inf


@pytest.mark.parametrize(
    "values", [{"checkpoint_seconds": math.nan}, {"checkpoint_seconds": -1.0}, {"memory_limit": -1}]
)
def test_other_numbers_are_refused_by_name(values):
    with pytest.raises(InputError, match=f"{next(iter(values))} = "):
        RunOptions(**values)

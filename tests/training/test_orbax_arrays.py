"""Arrays are read from Orbax as they were written; a full disk is an OSError."""

import errno
import logging
import sys

import numpy as np
import pytest
from etils import epath

from fsl_jax import files
from fsl_jax.training import orbax_arrays


@pytest.fixture
def directory(tmp_path):
    return epath.Path(tmp_path) / "arrays"


def test_items_are_read_as_they_were_written(directory):
    items = {
        "adapter": {"a/b": np.arange(6.0).reshape(2, 3), "c": np.array([True, False])},
        "cursor": {"step": np.asarray(40)},
    }
    orbax_arrays.write_arrays(directory, items)
    read = orbax_arrays.read_arrays(directory, ["adapter"])
    assert read.keys() == {"adapter"}
    assert read["adapter"].keys() == items["adapter"].keys()
    for name, array in items["adapter"].items():
        assert read["adapter"][name].dtype == array.dtype
        np.testing.assert_array_equal(read["adapter"][name], array)


def test_what_tensorstore_says_of_a_full_disk_is_understood():
    text = "RESOURCE_EXHAUSTED: Failed to write 9 bytes: No space left on device [os_error_code=…]"
    error = orbax_arrays._as_os_error(ValueError(text), files.cache_directory())
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    other = ValueError("another")
    assert orbax_arrays._as_os_error(other, files.cache_directory()) is other


def test_logs_and_hooks_are_as_before(directory):
    level, hook = logging.getLogger("absl").level, sys.unraisablehook
    orbax_arrays.write_arrays(directory, {"x": {"x": np.asarray(1)}})
    assert logging.getLogger("absl").level == level
    assert sys.unraisablehook is hook


def test_writes_that_fail_beside_a_failed_one_are_not_logged(tmp_path, caplog):
    asyncio_log, filters = logging.getLogger("asyncio"), logging.getLogger("asyncio").filters[:]
    (tmp_path / "a").write_text("")
    try:
        with pytest.raises(Exception, match="a"):
            orbax_arrays.write_arrays(epath.Path(tmp_path) / "a" / "b", {"x": {"x": np.asarray(1)}})
        asyncio_log.error("Task exception was never retrieved")
        asyncio_log.error("another error")
        assert [record.getMessage() for record in caplog.records][-1:] == ["another error"]
        assert "never retrieved" not in caplog.text
    finally:
        asyncio_log.filters[:] = filters

"""Rows as sources give them."""

import json

import pytest

from fsl_jax.data.rows import Row, Rows


@pytest.fixture
def rows_of():
    """Makes the rows of a file from mappings; each stands on the line of its number."""

    def make(values, source="train.jsonl"):
        columns = tuple(dict.fromkeys(name for row in values for name in row))
        return Rows(source, "line", columns, [Row(n, row) for n, row in enumerate(values, 1)])

    return make


@pytest.fixture
def write(tmp_path):
    """Writes mappings to a JSONL file of the test's directory."""

    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write

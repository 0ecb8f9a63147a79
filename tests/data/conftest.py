"""Small files in each format."""

import csv
import json

import pyarrow
import pyarrow.parquet
import pytest


def _write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _write_arrow(path, rows):
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)


WRITERS = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".arrow": _write_arrow,
}


@pytest.fixture
def write(tmp_path):
    """Writes rows, given as dicts or as the content itself, to a file of the test's directory."""

    def write(name, rows):
        path = tmp_path / name
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif isinstance(rows, str):
            path.write_bytes(rows.encode())
        else:
            WRITERS[path.suffix](path, rows)
        return path

    return write

"""Small files in each format."""

import csv
import json

import pyarrow
import pyarrow.parquet
import pytest


def _write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_json(path, rows):
    path.write_text(json.dumps(rows))


def _write_csv(path, rows, delimiter=","):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def _write_tsv(path, rows):
    _write_csv(path, rows, delimiter="\t")


def _write_excel(path, rows):
    import openpyxl

    workbook = openpyxl.Workbook()
    workbook.active.append(list(rows[0]))
    for row in rows:
        workbook.active.append(list(row.values()))
    workbook.save(path)


def _write_parquet(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def _write_arrow(path, rows):
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_stream(path, table.schema) as file:
        file.write_table(table)


WRITERS = {
    ".jsonl": _write_jsonl,
    ".json": _write_json,
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".parquet": _write_parquet,
    ".arrow": _write_arrow,
    ".xlsx": _write_excel,
}


@pytest.fixture
def write(tmp_path):
    """Writes rows, given as dicts or as the content itself, to a file of the test's directory."""

    def write(name, rows):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(rows, bytes):
            path.write_bytes(rows)
        elif isinstance(rows, str):
            path.write_bytes(rows.encode())
        else:
            WRITERS[path.suffix](path, rows)
        return path

    return write

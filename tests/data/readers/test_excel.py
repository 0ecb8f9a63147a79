import datetime
import zipfile

import openpyxl
import pytest
from fuzzing import read_damaged

from fsl_jax.data.readers.excel import read_excel
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError


@pytest.fixture
def save(tmp_path):
    def save(*rows, **sheets):
        workbook = openpyxl.Workbook()
        for row in rows:
            workbook.active.append(row)
        for title in sheets:
            workbook.create_sheet(title)
        workbook.save(tmp_path / "rows.xlsx")
        return tmp_path / "rows.xlsx"

    return save


def test_values_keep_their_types_and_empty_rows_are_skipped(save):
    path = save(
        [],
        ["text", "score", "count", "flag", "when", None],
        ["one", 0.5, 3, True, datetime.datetime(2024, 2, 29)],
        [],
        ["NA", None, -1],
    )
    rows = read_excel(path)
    assert rows.columns == ("text", "score", "count", "flag", "when")
    assert [(row.number, list(row.values.values())) for row in rows.rows] == [
        (3, ["one", 0.5, 3, True, "2024-02-29T00:00:00"]),
        (5, ["NA", None, -1, None, None]),
    ]
    assert (rows.malformed, rows.remarks) == ([], [])


def test_the_first_sheet_is_read_and_said(save):
    rows = read_excel(save(["text"], ["one"], More=None))
    assert len(rows.rows) == 1
    assert rows.remarks == ["The first of 2 sheets of rows.xlsx was read: 'Sheet'."]


def test_columns_that_cannot_be_told_apart_are_in_no_row(save):
    rows = read_excel(save(["text", "label", "text"], ["one", "a", "two"]))
    assert rows.columns == ("text", "label", "text")
    assert rows.rows[0].values == {"label": "a"}


def test_values_without_a_column_are_malformed(save):
    rows = read_excel(save(["text"], ["one", "two"], ["three"]))
    assert rows.malformed == ["row 2: there are more values than names of columns"]
    assert [row.number for row in rows.rows] == [3]


def test_what_is_no_workbook_is_malformed(write):
    path = write("rows.xlsx", b"text")
    assert read_excel(path).malformed == [
        "not an Excel file, or a damaged one (File is not a zip file)"
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "text")
    assert "not an Excel file" in read_excel(path).malformed[0]


def test_what_unfolds_to_more_than_it_may_is_refused(save):
    path = save(["text"], *[["x" * 100]] * 1000)
    with pytest.raises(InputError, match=r"unfolds to more than 10,000\."):
        read_excel(path, ReadOptions(max_unfolded=10_000))


def test_cells_that_are_only_claimed_count(tmp_path):
    workbook = openpyxl.Workbook()
    workbook.active["A1"] = "text"
    workbook.active["A1000000"] = "far below"
    workbook.save(tmp_path / "rows.xlsx")
    with pytest.raises(InputError, match="unfolds to more than"):
        read_excel(tmp_path / "rows.xlsx", ReadOptions(max_unfolded=1_000_000))


def test_a_missing_package_says_what_to_install(save, monkeypatch):
    path = save(["text"], ["one"])
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(InputError, match="pip install openpyxl"):
        read_excel(path)


@pytest.mark.parametrize("cases", [100, pytest.param(5000, marks=pytest.mark.soak)])
def test_damaged_workbooks_are_read_or_refused(cases, save):
    path = save(["text", "label"], *[[f"text {n} ü", n] for n in range(9)])

    def read(content):
        path.write_bytes(content)
        return read_excel(path)

    read_damaged(read, [path.read_bytes()], cases)

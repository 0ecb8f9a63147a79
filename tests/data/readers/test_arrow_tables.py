import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from fuzzing import read_damaged

from fsl_jax.data.readers.arrow_tables import read_arrow, read_parquet
from fsl_jax.data.readers.options import ReadOptions
from fsl_jax.errors import InputError

BINARY = {".parquet": read_parquet, ".arrow": read_arrow}


def column(rows, name):
    return [row.values[name] for row in rows.rows]


def labels(rows):
    return column(rows, "label")


def features(**kinds):
    """Return a schema's metadata as `datasets` writes it."""
    import json

    return {b"huggingface": json.dumps({"info": {"features": kinds}}).encode()}


def write_both(directory, table):
    """Write a table in both formats, and return the function that reads each."""
    pyarrow.parquet.write_table(table, directory / "rows.parquet")
    with pyarrow.ipc.new_stream(directory / "rows.arrow", table.schema) as file:
        file.write_table(table)
    return [
        lambda **options: read_parquet(directory / "rows.parquet", ReadOptions(**options)),
        lambda **options: read_arrow(directory / "rows.arrow", ReadOptions(**options)),
    ]


@pytest.mark.parametrize("suffix", BINARY)
def test_a_truncated_file_is_damaged(suffix, write):
    path = write(f"rows{suffix}", [{"text": f"text {n}", "label": "a"} for n in range(100)])
    content = path.read_bytes()
    for length in (0, 3, len(content) // 2, len(content) // 4):
        path.write_bytes(content[:length])
        table = BINARY[suffix](path)
        assert table.rows == []
        assert "damaged" in table.malformed[0]


def test_a_file_of_arrow_is_read_like_a_stream(tmp_path):
    table = pyarrow.table({"text": ["one", "two"], "label": ["a", "b"]})
    with pyarrow.ipc.new_file(tmp_path / "rows.arrow", table.schema) as file:
        file.write_table(table)
    assert labels(read_arrow(tmp_path / "rows.arrow")) == ["a", "b"]


def test_a_column_that_is_there_twice_is_not_chosen_between(tmp_path):
    arrays = [pyarrow.array(["one"]), pyarrow.array(["a"]), pyarrow.array(["two"])]
    table = pyarrow.Table.from_arrays(arrays, ["text", "label", "text"])
    for read in write_both(tmp_path, table):
        result = read()
        assert result.columns == ("text", "label", "text")
        assert [row.values for row in result.rows] == [{"label": "a"}]


def test_categories_are_their_names(tmp_path):
    categories = pyarrow.array(["a", "b", None, "a"]).dictionary_encode()
    table = pyarrow.table({"text": ["1", "2", "3", "4"], "label": categories})
    for read in write_both(tmp_path, table):
        assert [(row.number, row.values["label"]) for row in read().rows] == [
            (1, "a"),
            (2, "b"),
            (3, None),
            (4, "a"),
        ]


def test_classes_have_the_names_of_the_schema(tmp_path):
    table = pyarrow.table({"text": ["1", "2", "3", "4"], "label": [1, 0, -1, None]})
    names = features(label={"names": ["dog", "cat"], "_type": "ClassLabel"})
    for read in write_both(tmp_path, table.replace_schema_metadata(names)):
        assert labels(read()) == ["cat", "dog", None, None]


def test_a_class_without_a_name_is_malformed(tmp_path):
    table = pyarrow.table({"text": ["1", "2"], "label": [2, 0]})
    names = features(label={"names": ["dog", "cat"], "_type": "ClassLabel"})
    for read in write_both(tmp_path, table.replace_schema_metadata(names)):
        result = read()
        assert result.malformed == ["row 1: class 2, and the schema names classes 0 to 1"]
        assert [(row.number, row.values["label"]) for row in result.rows] == [(2, "dog")]


@pytest.mark.parametrize("names", [None, "dog", ["dog", 1], ["dog", "dog"], ["dog", " dog"]])
def test_names_that_cannot_be_used_are_refused(names, tmp_path):
    table = pyarrow.table({"text": ["1"], "label": [0]})
    metadata = features(label={"names": names, "_type": "ClassLabel"})
    for read in write_both(tmp_path, table.replace_schema_metadata(metadata)):
        with pytest.raises(InputError, match="column 'label'"):
            read()


def test_bytes_are_text_if_they_are_utf8(tmp_path):
    table = pyarrow.table({"text": [b"caf\xc3\xa9"], "label": [b"a"]})
    for read in write_both(tmp_path, table):
        assert [row.values for row in read().rows] == [{"text": "café", "label": "a"}]
    table = pyarrow.table({"text": ["one", "two"], "picture": [b"caf\xc3\xa9", b"caf\xe9"]})
    for read in write_both(tmp_path, table):
        rows = read()
        assert [row.values for row in rows.rows] == [{"text": "one"}, {"text": "two"}]
        assert rows.columns == ("text",)
        assert "Column 'picture'" in rows.remarks[0]
        assert "no text in UTF-8" in rows.remarks[0]


def test_text_that_is_not_utf8_is_malformed(tmp_path):
    binary = pyarrow.array([b"caf\xe9"], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), 1, binary.buffers())
    for read in write_both(tmp_path, pyarrow.table({"text": text, "label": ["a"]})):
        result = read()
        assert (result.rows, len(result.malformed)) == ([], 1)


NESTED = {
    "tokens": [["EU", "rejects"], [], None, ["call", None]],
    "answers": [
        {"text": ["x"], "answer_start": [3]},
        None,
        {"text": [], "answer_start": []},
        {"text": None, "answer_start": [1, 2]},
    ],
    "pairs": [[{"a": 1, "b": [1.5]}], None, [], [{"a": None, "b": None}, {"a": 2, "b": []}]],
}


def test_nested_values_are_lists_and_dicts(tmp_path):
    for read in write_both(tmp_path, pyarrow.table(NESTED)):
        for name, values in NESTED.items():
            assert column(read(), name) == values


def test_slices_of_nested_values_begin_where_they_should(tmp_path):
    table = pyarrow.concat_tables([pyarrow.table(NESTED)] * 3)
    sizes = pyarrow.array([[n, n + 1] for n in range(12)], pyarrow.list_(pyarrow.int64(), 2))
    table = table.append_column("sizes", sizes)
    with pyarrow.ipc.new_stream(tmp_path / "rows.arrow", table.schema) as file:
        for start in range(0, 12, 5):
            file.write_table(table.slice(start, 5))
    rows = read_arrow(tmp_path / "rows.arrow")
    for name in table.schema.names:
        assert column(rows, name) == table.column(name).to_pylist()
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=7)
    rows = read_parquet(tmp_path / "rows.parquet")
    for name in table.schema.names:
        assert column(rows, name) == table.column(name).to_pylist()


def test_classes_in_lists_and_fields_have_their_names(tmp_path):
    table = pyarrow.table(
        {"tags": [[0, 1], [], [-1]], "both": [{"label": 1}, {"label": 0}, {"label": None}]}
    )
    classes = {"names": ["O", "B-PER"], "_type": "ClassLabel"}
    metadata = features(tags={"feature": classes, "_type": "List"}, both={"label": classes})
    for read in write_both(tmp_path, table.replace_schema_metadata(metadata)):
        assert column(read(), "tags") == [["O", "B-PER"], [], [None]]
        assert column(read(), "both") == [{"label": "B-PER"}, {"label": "O"}, {"label": None}]


def test_numbers_and_times_are_those_of_json(tmp_path):
    import datetime

    values = {
        "score": [0.5, float("nan")],
        "flag": [True, None],
        "count": [3, -1],
        "when": [datetime.date(2024, 2, 29), None],
    }
    for read in write_both(tmp_path, pyarrow.table(values)):
        assert [row.values for row in read().rows] == [
            {"score": 0.5, "flag": True, "count": 3, "when": "2024-02-29"},
            {"score": None, "flag": None, "count": -1, "when": None},
        ]


def test_columns_of_other_types_are_named_and_left_out(tmp_path):
    views = pyarrow.array([[1], [2]], pyarrow.list_view(pyarrow.int64()))
    table = pyarrow.table({"text": ["one", "two"], "views": views})
    with pyarrow.ipc.new_stream(tmp_path / "rows.arrow", table.schema) as file:
        file.write_table(table)
    rows = read_arrow(tmp_path / "rows.arrow")
    assert [row.values for row in rows.rows] == [{"text": "one"}, {"text": "two"}]
    assert "Column 'views' of rows.arrow is not read: its type is list_view" in rows.remarks[0]


def test_views_are_texts(tmp_path):
    views = pyarrow.array(["one", None, "a long text of more than 12 bytes"])
    table = pyarrow.table({"text": views.cast(pyarrow.string_view()), "label": ["a", "b", "c"]})
    for read in write_both(tmp_path, table):
        assert column(read(), "text") == views.to_pylist()


class TestFilesThatUnfold:
    def test_a_repeated_text_is_refused_before_it_is_unfolded(self, tmp_path):
        text = pyarrow.array(["x" * 2_000_000]).dictionary_encode()
        text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 1000), text.dictionary)
        table = pyarrow.table({"text": text, "label": ["a"] * 1000})
        path = tmp_path / "rows.parquet"
        pyarrow.parquet.write_table(table, path, compression="zstd")
        assert path.stat().st_size < 10_000
        with pytest.raises(InputError, match=r"unfolds to more than .* --max_unfolded_gib"):
            read_parquet(path)

    def test_a_repeated_view_is_refused_before_it_is_unfolded(self, tmp_path):
        one = pyarrow.array(["x" * 200_000]).cast(pyarrow.string_view())
        _, view, data = one.buffers()
        repeated = [None, pyarrow.py_buffer(view.to_pybytes()[:16] * 1000), data]
        views = pyarrow.Array.from_buffers(one.type, 1000, repeated)
        table = pyarrow.table({"text": views, "label": ["a"] * 1000})
        with pyarrow.ipc.new_stream(tmp_path / "rows.arrow", table.schema) as file:
            file.write_table(table)
        with pytest.raises(InputError, match="unfolds to more than"):
            read_arrow(tmp_path / "rows.arrow")

    @pytest.mark.parametrize("compression", ["zstd", "lz4"])
    def test_a_compressed_message_is_refused_before_it_is_unfolded(self, compression, tmp_path):
        table = pyarrow.table({"text": ["x" * 1_000_000] * 200, "label": ["a"] * 200})
        path = tmp_path / "rows.arrow"
        options = pyarrow.ipc.IpcWriteOptions(compression=compression)
        with pyarrow.ipc.new_file(path, table.schema, options=options) as file:
            file.write_table(table)
        before = pyarrow.default_memory_pool().max_memory()
        del table
        with pytest.raises(InputError, match="unfolds to more than"):
            read_arrow(path)
        assert pyarrow.default_memory_pool().max_memory() == before

    def test_values_of_one_wide_size_are_refused(self, tmp_path):
        wide = pyarrow.array([b"x" * 1_000_000], pyarrow.binary(1_000_000)).take([0] * 10)
        table = pyarrow.table({"text": wide, "label": ["a"] * 10})
        for read in write_both(tmp_path, table):
            with pytest.raises(InputError, match="unfolds to more than 900,000"):
                read(max_unfolded=900_000)

    def test_a_limit_may_be_raised(self, tmp_path):
        table = pyarrow.table({"text": ["x" * 1000] * 100, "label": ["a"] * 100})
        for read in write_both(tmp_path, table):
            with pytest.raises(InputError, match="unfolds to more than 50,000"):
                read(max_unfolded=50_000)
            assert len(read(max_unfolded=500_000).rows) == 100

    def test_a_picture_may_be_large(self, tmp_path):
        picture = {"bytes": b"x" * 1_000_000, "path": None}
        table = pyarrow.table({"text": ["one"], "label": ["a"], "image": [picture]})
        table = table.replace_schema_metadata(features(image={"_type": "Image"}))
        for read in write_both(tmp_path, table):
            assert [row.values for row in read(max_unfolded=100_000).rows] == [
                {"text": "one", "label": "a"}
            ]

    def test_a_list_of_equal_numbers_is_refused_before_it_is_unfolded(self, tmp_path):
        numbers = pyarrow.array(np.zeros(40_000_000, np.int64))
        lists = pyarrow.LargeListArray.from_arrays(pyarrow.array([0, len(numbers)]), numbers)
        path = tmp_path / "rows.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"tags": lists}), path, compression="zstd")
        assert path.stat().st_size < 10_000
        with pytest.raises(InputError, match="unfolds to more than"):
            read_parquet(path, ReadOptions(max_unfolded=16 << 20))

    def test_sentences_with_tags_are_read_whole(self, tmp_path):
        words = [f"word{n % 5000}" for n in range(600_000)]
        tokens = [words[n : n + 25] for n in range(0, len(words), 25)]
        table = pyarrow.table({"tokens": tokens, "tags": [[n % 9 for n in range(25)]] * 24_000})
        for read in write_both(tmp_path, table):
            rows = read()
            assert len(rows.rows) == 24_000
            first, later = rows.rows[0].values["tokens"], rows.rows[200].values["tokens"]
            assert first[0] == later[0] == "word0"
            assert first[0] is later[0]

    def test_a_repeated_text_in_lists_is_refused(self, tmp_path):
        table = pyarrow.table({"tokens": [["x" * 100_000] * 100] * 20})
        path = tmp_path / "rows.parquet"
        pyarrow.parquet.write_table(table, path)
        assert path.stat().st_size < 1_000_000
        with pytest.raises(InputError, match="unfolds to more than"):
            read_parquet(path)


@pytest.mark.parametrize("cases", [1000, pytest.param(20_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("suffix", BINARY)
def test_damaged_files_are_read_or_refused(suffix, cases, tmp_path):
    names = features(label={"names": ["dog", "cat"], "_type": "ClassLabel"})
    table = pyarrow.table(
        {
            "text": [f"text {n} ü" for n in range(9)],
            "label": [0, 1, 0] * 3,
            "tokens": [["a", "b"], [], ["c"]] * 3,
            "answer": [{"start": [n, 2]} for n in range(9)],
        }
    )
    write_both(tmp_path, table.replace_schema_metadata(names))
    path = tmp_path / f"rows{suffix}"

    def read(content):
        path.write_bytes(content)
        return BINARY[suffix](path)

    read_damaged(read, [path.read_bytes()], cases)

import pyarrow
import pyarrow.parquet
import pytest
from fuzzing import read_damaged

from fsl_jax.data.arrow_tables import read_arrow, read_parquet
from fsl_jax.data.file_formats import READERS
from fsl_jax.errors import InputError

WANTED = ("text", "label")
BINARY = [".parquet", ".arrow"]


def labels(table):
    return [row.values[1] for row in table.rows]


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
        lambda **limits: read_parquet(directory / "rows.parquet", WANTED, **limits),
        lambda **limits: read_arrow(directory / "rows.arrow", WANTED, **limits),
    ]


@pytest.mark.parametrize("suffix", BINARY)
def test_a_truncated_file_is_damaged(suffix, write):
    path = write(f"rows{suffix}", [{"text": f"text {n}", "label": "a"} for n in range(100)])
    content = path.read_bytes()
    for length in (0, 3, len(content) // 2, len(content) // 4):
        path.write_bytes(content[:length])
        table = READERS[suffix](path, WANTED, None)
        assert table.rows == []
        assert "damaged" in table.malformed[0]


def test_a_file_of_arrow_is_read_like_a_stream(tmp_path):
    table = pyarrow.table({"text": ["one", "two"], "label": ["a", "b"]})
    with pyarrow.ipc.new_file(tmp_path / "rows.arrow", table.schema) as file:
        file.write_table(table)
    assert labels(read_arrow(tmp_path / "rows.arrow", WANTED)) == ["a", "b"]


def test_a_column_that_is_there_twice_is_not_chosen_between(tmp_path):
    arrays = [pyarrow.array(["one"]), pyarrow.array(["a"]), pyarrow.array(["two"])]
    table = pyarrow.Table.from_arrays(arrays, ["text", "label", "text"])
    for read in write_both(tmp_path, table):
        result = read()
        assert (result.columns, result.rows) == (("text", "label", "text"), [])
        assert result.malformed == []


def test_categories_are_their_names(tmp_path):
    categories = pyarrow.array(["a", "b", None, "a"]).dictionary_encode()
    table = pyarrow.table({"text": ["1", "2", "3", "4"], "label": categories})
    for read in write_both(tmp_path, table):
        assert [(row.number, row.values[1]) for row in read().rows] == [
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
        assert [(row.number, row.values[1]) for row in result.rows] == [(2, "dog")]


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
        assert [row.values for row in read().rows] == [("café", "a")]
    table = pyarrow.table({"text": [b"caf\xe9"], "label": [b"a"]})
    for read in write_both(tmp_path, table):
        assert len(read().malformed) == 1


def test_text_that_is_not_utf8_is_malformed(tmp_path):
    binary = pyarrow.array([b"caf\xe9"], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), 1, binary.buffers())
    for read in write_both(tmp_path, pyarrow.table({"text": text, "label": ["a"]})):
        result = read()
        assert (result.rows, len(result.malformed)) == ([], 1)


def test_lists_are_refused_by_their_type(tmp_path):
    table = pyarrow.table({"text": ["1"], "label": [["a", "b"]]})
    for read in write_both(tmp_path, table):
        (problem,) = read().malformed
        assert problem.startswith("column 'label' has values of type list<")


def test_views_are_texts(tmp_path):
    views = pyarrow.array(["one", None, "a long text of more than 12 bytes"])
    table = pyarrow.table({"text": views.cast(pyarrow.string_view()), "label": ["a", "b", "c"]})
    for read in write_both(tmp_path, table):
        assert [row.values[0] for row in read().rows] == views.to_pylist()


class TestFilesThatUnfold:
    def test_a_repeated_text_is_refused_before_it_is_unfolded(self, tmp_path):
        text = pyarrow.array(["x" * 2_000_000]).dictionary_encode()
        text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 1000), text.dictionary)
        table = pyarrow.table({"text": text, "label": ["a"] * 1000})
        path = tmp_path / "rows.parquet"
        pyarrow.parquet.write_table(table, path, compression="zstd")
        assert path.stat().st_size < 10_000
        with pytest.raises(InputError, match=r"unfolds to more than .* --max_unfolded_gib"):
            read_parquet(path, WANTED)

    def test_a_repeated_view_is_refused_before_it_is_unfolded(self, tmp_path):
        one = pyarrow.array(["x" * 200_000]).cast(pyarrow.string_view())
        _, view, data = one.buffers()
        repeated = [None, pyarrow.py_buffer(view.to_pybytes()[:16] * 1000), data]
        views = pyarrow.Array.from_buffers(one.type, 1000, repeated)
        table = pyarrow.table({"text": views, "label": ["a"] * 1000})
        with pyarrow.ipc.new_stream(tmp_path / "rows.arrow", table.schema) as file:
            file.write_table(table)
        with pytest.raises(InputError, match="unfolds to more than"):
            read_arrow(tmp_path / "rows.arrow", WANTED)

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
            read_arrow(path, WANTED)
        assert pyarrow.default_memory_pool().max_memory() == before

    def test_values_of_one_wide_size_are_refused(self, tmp_path):
        wide = pyarrow.array([b"x" * 1_000_000], pyarrow.binary(1_000_000)).take([0] * 10)
        table = pyarrow.table({"text": wide, "label": ["a"] * 10})
        for read in write_both(tmp_path, table):
            with pytest.raises(InputError, match="unfolds to more than 900,000"):
                read(max_bytes=900_000)

    def test_a_limit_may_be_raised(self, tmp_path):
        table = pyarrow.table({"text": ["x" * 1000] * 100, "label": ["a"] * 100})
        for read in write_both(tmp_path, table):
            with pytest.raises(InputError, match="unfolds to more than 50,000"):
                read(max_bytes=50_000)
            assert len(read(max_bytes=500_000).rows) == 100

    def test_a_column_that_is_not_wanted_may_be_large(self, tmp_path):
        table = pyarrow.table({"text": ["one"], "label": ["a"], "image": [b"x" * 1_000_000]})
        for read in write_both(tmp_path, table):
            assert len(read(max_bytes=100_000).rows) == 1


@pytest.mark.parametrize("cases", [1000, pytest.param(20_000, marks=pytest.mark.soak)])
@pytest.mark.parametrize("suffix", BINARY)
def test_damaged_files_are_read_or_refused(suffix, cases, tmp_path):
    names = features(label={"names": ["dog", "cat"], "_type": "ClassLabel"})
    table = pyarrow.table({"text": [f"text {n} ü" for n in range(9)], "label": [0, 1, 0] * 3})
    write_both(tmp_path, table.replace_schema_metadata(names))
    path = tmp_path / f"rows{suffix}"

    def read(content):
        path.write_bytes(content)
        return READERS[suffix](path, WANTED, None)

    read_damaged(read, [path.read_bytes()], cases)

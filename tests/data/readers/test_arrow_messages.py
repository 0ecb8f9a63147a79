import pyarrow
import pytest

from fsl_jax.data.readers.arrow_messages import largest_message


def write(path, table, compression):
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_stream(path, table.schema, options=options) as file:
        for batch in table.to_batches(max_chunksize=50):
            file.write_batch(batch)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_the_largest_message_is_measured(compression, tmp_path):
    texts = [*["x" * 100] * 50, *["y" * 1000] * 50]
    table = pyarrow.table({"text": texts, "number": list(range(100))})
    write(tmp_path / "rows.arrow", table, compression)
    with pyarrow.memory_map(str(tmp_path / "rows.arrow")) as source:
        # 50 texts, the 51 ends between them with 4 bytes each, and 50 numbers with 8 bytes each.
        assert 0 <= largest_message(source) - (50_000 + 51 * 4 + 50 * 8) < 200


def test_the_words_of_a_dictionary_count(tmp_path):
    words = pyarrow.array(["x" * 1000, "y" * 5000]).dictionary_encode()
    write(tmp_path / "rows.arrow", pyarrow.table({"text": words}), "zstd")
    with pyarrow.memory_map(str(tmp_path / "rows.arrow")) as source:
        assert 6000 <= largest_message(source) < 6200


def test_what_is_not_compressed_does_not_count(tmp_path):
    write(tmp_path / "rows.arrow", pyarrow.table({"text": ["x" * 1000]}), None)
    with pyarrow.memory_map(str(tmp_path / "rows.arrow")) as source:
        assert largest_message(source) == 0


def test_a_damaged_stream_is_an_error(tmp_path):
    (tmp_path / "rows.arrow").write_bytes(b"\xff\xff\xff\xff\x10\0\0\0" + b"\x7f" * 16)
    with (
        pyarrow.memory_map(str(tmp_path / "rows.arrow")) as source,
        pytest.raises((ValueError, OSError)),
    ):
        largest_message(source)

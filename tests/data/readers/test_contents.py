import gzip

import pytest

from fsl_jax.data.readers.contents import ALWAYS_READ, most_bytes, read_contents
from fsl_jax.errors import InputError


def test_contents_are_unfolded_if_the_suffix_says_so(write):
    content = gzip.compress(b"text", mtime=0)
    assert read_contents(write("rows.csv.gz", content), None) == b"text"
    assert read_contents(write("rows.csv", content), None) == content


def test_what_unfolds_to_more_than_it_may_is_refused(write):
    path = write("rows.csv.gz", gzip.compress(b"x" * 100_000))
    assert most_bytes(path, None) == ALWAYS_READ
    assert len(read_contents(path, 100_000)) == 100_000
    with pytest.raises(InputError, match=r"unfolds to more than 99,999\. .* --max_unfolded_gib"):
        read_contents(path, 99_999)


@pytest.mark.parametrize("damage", [b"", b"text", gzip.compress(b"text" * 99, mtime=0)[:20]])
def test_a_damaged_file_is_refused(damage, write):
    path = write("rows.csv.gz", damage)
    if damage:
        with pytest.raises(InputError, match=r"rows\.csv\.gz: cannot be read: "):
            read_contents(path, None)
    else:
        assert read_contents(path, None) == b""


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(InputError, match="no such file, or it is not a plain file"):
            read_contents(path, None)

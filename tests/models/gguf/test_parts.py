"""Files that llama.cpp has split into parts."""

import re

import numpy as np
import pytest
from tiny_gguf import gguf_bytes

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.parts import read_gguf_parts

TENSORS = [{"a": np.zeros((2, 3)), "b": np.ones(4)}, {"c": np.full(5, 2.0)}, {"d": np.ones(1)}]


def write(directory, *, number=None, name="model-{:05d}-of-00003.gguf", **changes):
    """Write three parts; changes are to the metadata of part `number`, or of all."""
    for index, tensors in enumerate(TENSORS):
        metadata = {"general.name": "tiny"} if index == 0 else {}
        metadata |= {"split.no": index, "split.count": 3, "split.tensors.count": 4}
        if number in (None, index):
            metadata |= {key.replace("__", "."): value for key, value in changes.items()}
        (directory / name.format(index + 1)).write_bytes(gguf_bytes(metadata, tensors))
    return directory / name.format(1)


def test_all_parts_are_read_from_the_first(tmp_path):
    first = write(tmp_path)
    file, paths = read_gguf_parts(first)
    assert file.metadata["general.name"] == "tiny"
    assert [path.name[:11] for path in paths] == ["model-00001", "model-00002", "model-00003"]
    assert list(file.tensors) == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(file.tensors["c"].load(), np.full(5, 2.0))


@pytest.mark.parametrize("count", [{}, {"split.count": 1}, {"split.count": 0}])
def test_a_file_may_be_whole(tmp_path, count):
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(count, TENSORS[0]))
    file, paths = read_gguf_parts(path)
    assert (list(file.tensors), paths) == (["a", "b"], [path])


REFUSED = {
    "count": ({"split__count": 4}, "this is a part of a file that is split in 4"),
    "large count": ({"split__count": 2**63}, f"split in {2**63}"),
    "negative count": ({"split__count": -2}, "split.count is -2"),
    "kind": ({"split__count": "3"}, "hold a str as split.count"),
    "another part": ({"number": 1, "split__no": 2}, "this is not part 2 of 3"),
    "first": ({"number": 0, "split__no": 1}, "not the first of 3 parts, model-00001-of-00003.gguf"),
    "number of tensors": ({"split__tensors__count": 5}, "the parts have 4 tensors"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_parts_that_do_not_fit_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        read_gguf_parts(write(tmp_path, **changes))


def test_missing_parts_and_the_way_out_are_named(tmp_path):
    first = write(tmp_path)
    with pytest.raises(InputError, match=r"not the first of 3 parts, model-00001-of-00003\.gguf"):
        read_gguf_parts(tmp_path / "model-00002-of-00003.gguf")
    (tmp_path / "model-00003-of-00003.gguf").unlink()
    with pytest.raises(
        InputError, match=r"model-00003-of-00003\.gguf is missing.*llama-gguf-split"
    ):
        read_gguf_parts(first)
    renamed = first.rename(tmp_path / "model.gguf")
    with pytest.raises(InputError, match=r"split in 3 .*ends in -00001-of-00003\.gguf.*--merge"):
        read_gguf_parts(renamed)


def test_a_tensor_may_not_be_in_two_parts(tmp_path):
    first = write(tmp_path)
    metadata = {"split.no": 2, "split.count": 3}
    (tmp_path / "model-00003-of-00003.gguf").write_bytes(gguf_bytes(metadata, TENSORS[1]))
    with pytest.raises(InputError, match="tensor 'c' is in an earlier part too"):
        read_gguf_parts(first)

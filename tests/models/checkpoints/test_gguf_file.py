import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.checkpoints import gguf_file as gguf_checkpoint
from fsl_jax.models.checkpoints.gguf_file import read_gguf_checkpoint
from fsl_jax.models.embedded import embedded_path
from fsl_jax.models.gguf.reader import GGUFFile


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"general.architecture": "llamo"}, "'llamo'. Did you mean 'llama'.* gemma3, .*qwen3"),
        ({"general.architecture": "llama"}, "token_embd.weight is missing"),
    ],
)
def test_a_file_without_a_llama_is_an_error(monkeypatch, tmp_path, metadata, message):
    file = GGUFFile(metadata, {})
    monkeypatch.setattr(gguf_checkpoint, "read_gguf_parts", lambda path: (file, [path]))
    with pytest.raises(InputError, match=message):
        read_gguf_checkpoint(tmp_path / "model.gguf")


def test_leaves_from_the_cache_are_those_that_were_converted(monkeypatch, tmp_path):
    path = embedded_path("smollm2-135m")
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path))
    first, second = (
        {name: leaf.load() for name, leaf in read_gguf_checkpoint(path).leaves} for _ in range(2)
    )
    assert set(first) == set(second)
    for name, leaf in first.items():
        assert leaf.dtype == np.float32
        np.testing.assert_array_equal(leaf, second[name])

import subprocess
import sys

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.tokenizer import gguf_tokenizer


@pytest.mark.parametrize("metadata", [{}, {"tokenizer.ggml.model": "lama"}])
def test_an_unknown_model_is_an_error_that_names_the_known_ones(metadata):
    with pytest.raises(InputError, match=r"unknown GGUF tokenizer .*Known: bert, gpt2, llama, t5"):
        gguf_tokenizer(metadata)


def test_pytorch_is_not_imported():
    program = "import sys; import fsl_jax.models.gguf.tokenizer; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

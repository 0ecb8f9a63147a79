import pytest

from fsl_jax.adapt import LoRA
from fsl_jax.errors import InputError
from fsl_jax.studies.planning.written_method import WrittenMethod


def test_the_text_stays_as_it_was_written():
    written = WrittenMethod.parse("lora( rank = 4 )")
    assert (written.text, written.method) == ("lora( rank = 4 )", LoRA(4))


def test_a_text_that_names_no_method_is_an_error():
    with pytest.raises(InputError, match="'lora'"):
        WrittenMethod.parse("lorra")

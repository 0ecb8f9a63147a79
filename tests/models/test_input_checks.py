"""Inputs that a model cannot take."""

import jax.numpy as jnp
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.models.input_checks import (
    check_length,
    require_encoder_decoder,
    require_no_decoder_inputs,
)

SIZES = {"vocab_size": 8, "hidden_size": 4, "mlp_size": 8, "num_layers": 1, "num_heads": 2}
ENCODER = BertConfig(**SIZES, max_length=8)
ENCODER_DECODER = T5Config(**SIZES, num_decoder_layers=1, head_dim=2, max_length=8)


def test_as_many_tokens_as_the_model_reads_are_allowed():
    check_length("tiny", ENCODER, 5, before=3)


@pytest.mark.parametrize(
    ("length", "before", "message"),
    [
        (9, 0, "9 tokens are more than tiny can read at once, which is 8. Truncate the text to 8"),
        (1, 8, "1 token and the 8 before them are more than .* Truncate the text to 0 tokens"),
    ],
)
def test_more_tokens_are_an_error_that_says_how_many_fit(length, before, message):
    with pytest.raises(InputError, match=message):
        check_length("tiny", ENCODER, length, before)


def test_a_decoder_is_needed_to_encode_and_decode():
    require_encoder_decoder("tiny", ENCODER_DECODER, None)
    require_encoder_decoder("tiny", ENCODER_DECODER, "sequence_classification")
    with pytest.raises(InputError, match=r"tiny \(bert\) is no encoder-decoder"):
        require_encoder_decoder("tiny", ENCODER, None)
    with pytest.raises(InputError, match="the head mean_features, without its decoder"):
        require_encoder_decoder("tiny", ENCODER_DECODER, "mean_features")


def test_a_head_that_reads_input_ids_alone_takes_nothing_for_a_decoder():
    none = dict.fromkeys(("decoder_input_ids", "decoder_attention_mask"))
    require_no_decoder_inputs("tiny", "mean_features", none)
    some = none | {"decoder_attention_mask": jnp.ones((1, 2), bool)}
    with pytest.raises(InputError, match="Leave decoder_input_ids, decoder_attention_mask out"):
        require_no_decoder_inputs("tiny", "mean_features", some)

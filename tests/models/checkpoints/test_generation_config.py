import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.checkpoints.generation_config import (
    end_tokens,
    read_generation_config,
    with_start,
)


def test_a_directory_need_not_have_the_file(tmp_path):
    assert read_generation_config(tmp_path) == {}


@pytest.mark.parametrize(
    ("values", "generation", "expected"),
    [
        ({}, {}, ()),
        ({"eos_token_id": 2}, {}, (2,)),
        ({"eos_token_id": [4, 2, 4]}, {"temperature": 0.6}, (2, 4)),
        ({"eos_token_id": 2}, {"eos_token_id": [9, 7]}, (7, 9)),
        ({"eos_token_id": 2}, {"eos_token_id": 0}, (0,)),
        ({"eos_token_id": None}, {"eos_token_id": None}, ()),
    ],
)
def test_all_tokens_that_are_named_end(tmp_path, values, generation, expected):
    assert end_tokens(tmp_path, values, generation) == expected


@pytest.mark.parametrize("wrong", ["</s>", -1, True, [2, "x"], 1.5, {"a": 1}])
def test_what_is_no_token_is_an_error_with_its_file(tmp_path, wrong):
    with pytest.raises(InputError, match=r"/config\.json: eos_token_id is"):
        end_tokens(tmp_path, {"eos_token_id": wrong}, {})
    with pytest.raises(InputError, match=r"generation_config\.json: eos_token_id is"):
        end_tokens(tmp_path, {"eos_token_id": 2}, {"eos_token_id": wrong})


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_file_is_an_error(tmp_path, text):
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(InputError, match=r"generation_config\.json"):
        read_generation_config(tmp_path)


def test_the_first_token_is_the_one_of_generation():
    values = {"d_model": 8, "decoder_start_token_id": 0}
    assert with_start(values, {}) == values
    assert with_start(values, {"decoder_start_token_id": 3})["decoder_start_token_id"] == 3
    assert values["decoder_start_token_id"] == 0


def test_settings_that_are_not_applied_are_said(tmp_path, caplog):
    values = {"min_length": 0, "suppress_tokens": [], "forced_eos_token_id": None, "top_p": 0.9}
    path = tmp_path / "generation_config.json"
    path.write_text(json.dumps(values))
    assert read_generation_config(tmp_path) == values
    assert not caplog.messages
    path.write_text(json.dumps(values | {"min_length": 3, "forced_bos_token_id": 7}))
    read_generation_config(tmp_path)
    [message] = caplog.messages
    assert "asks for forced_bos_token_id, min_length, which is not applied" in message

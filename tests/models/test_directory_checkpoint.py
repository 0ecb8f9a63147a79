import json

import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.directory_checkpoint import read_directory


def change_config(directory, **values):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_missing_files_are_listed(bert_directory):
    (bert_directory / "config.json").unlink()
    (bert_directory / "tokenizer.json").unlink()
    with pytest.raises(InputError) as error:
        read_directory(bert_directory)
    assert "config.json" in str(error.value)
    assert "tokenizer.json" in str(error.value)


def test_an_unknown_architecture_names_the_known_ones(bert_directory):
    change_config(bert_directory, model_type="berd")
    with pytest.raises(InputError, match=r"'berd'\. Did you mean 'bert' .*Known: bert, .*, llama"):
        read_directory(bert_directory)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_none_is_an_error(bert_directory, text):
    (bert_directory / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        read_directory(bert_directory)


def test_weights_that_do_not_fit_the_config_are_listed(bert_directory):
    change_config(bert_directory, num_hidden_layers=2, vocab_size=41)
    with pytest.raises(InputError) as error:
        read_directory(bert_directory)
    assert "embeddings.word_embeddings.weight is [40, 32], expected [41, 32]" in str(error.value)
    assert str(error.value).count("not known: encoder.layer.2.") == 16


def test_a_damaged_tokenizer_is_an_error(bert_directory):
    path = bert_directory / "tokenizer.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputError, match=r"tokenizer\.json: not a valid tokenizer"):
        read_directory(bert_directory)


def test_special_tokens_that_the_files_do_not_name(bert_directory, special_tokenizer):
    """As in the first checkpoints of BERT, of which only the code knew what masks a token."""
    special_tokenizer.backend_tokenizer.save(str(bert_directory / "tokenizer.json"))
    values = {"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": "7"}
    (bert_directory / "tokenizer_config.json").write_text(json.dumps(values))
    tokenizer = read_directory(bert_directory).tokenizer
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 2)
    assert tokenizer.cls_token == "7"
    assert tokenizer.sep_token is None
    assert len(tokenizer) == 40

import numpy as np
import pytest
import transformers

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models.bert import BertConfig
from fsl_jax.models.embedded import embedded_path


@pytest.fixture(scope="module")
def tiny_pair(tmp_path_factory, torch_reference, word_tokenizer):
    """A random model of transformers, and what we load from where it was saved."""
    config = transformers.BertConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=24,
    )
    model = torch_reference.randomise(transformers.BertModel(config))
    directory = tmp_path_factory.mktemp("bert")
    model.save_pretrained(directory)
    word_tokenizer.save_pretrained(directory)
    return fsl_jax.load(str(directory)), model


def test_hidden_states_agree_with_transformers(tiny_pair, torch_reference, padded_tokens):
    assert max(torch_reference.errors(*tiny_pair, *padded_tokens)) < 1e-5


def test_hidden_states_of_minilm_agree_with_transformers(torch_reference):
    pretrained = fsl_jax.load("minilm-l6")
    model = transformers.BertModel.from_pretrained(embedded_path("minilm-l6")).eval()
    texts = ["Which way works best?", "It depends on the data, and on how much of it there is."]
    batch = pretrained.tokenizer(texts, padding=True, return_tensors="np")
    ids, mask = batch["input_ids"].astype(np.int32), batch["attention_mask"].astype(bool)
    assert max(torch_reference.errors(pretrained, model, ids, mask)) < 1e-5


def test_the_pooler_is_in_the_tree_where_the_checkpoint_has_one(tiny_pair, tiny_bert):
    assert tiny_pair[0].params["pooler"]["kernel"].shape == (32, 32)
    assert "pooler" not in tiny_bert.params


def test_heads_have_to_divide_the_width():
    with pytest.raises(InputError, match="5 heads"):
        BertConfig(40, hidden_size=32, mlp_size=48, num_layers=1, num_heads=5, max_length=8)

import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.llama.model import LlamaConfig


def test_logits_of_smollm2_agree_with_transformers(smollm2, smollm2_in_torch, torch_reference):
    """The reference has our weights by the table of names, read backwards."""
    texts = ["The capital of France is", "Great film, I loved every minute. It was"]
    batch = smollm2.tokenizer(texts, padding=True, return_tensors="np")
    ids, mask = batch["input_ids"].astype(np.int32), batch["attention_mask"].astype(bool)
    assert max(torch_reference.errors(smollm2, smollm2_in_torch, ids, mask)) < 1e-5


def test_smollm2_knows_a_capital(smollm2):
    """The rotary embedding, the tokenizer and the weights fit together."""
    ids = smollm2.tokenizer(["The capital of France is"], return_tensors="np")["input_ids"]
    output = smollm2.apply(smollm2.params, ids.astype(np.int32), np.ones(ids.shape, bool))
    assert smollm2.tokenizer.decode([int(output.logits[0, -1].argmax())]) == " Paris"


def test_heads_have_to_be_divided_among_those_of_keys():
    with pytest.raises(InputError, match="3 heads of keys"):
        LlamaConfig(
            40,
            hidden_size=32,
            mlp_size=48,
            num_layers=1,
            num_heads=4,
            num_kv_heads=3,
            head_dim=8,
            max_length=8,
        )

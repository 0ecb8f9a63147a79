import numpy as np
import pytest
import transformers
from flax.traverse_util import flatten_dict

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models.families.llama.checkpoint import llama_tensor_map
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.tensors.tensor_map import write_tensors


@pytest.fixture(scope="module")
def smollm2():
    return fsl_jax.load("smollm2-135m")


def test_logits_of_smollm2_agree_with_transformers(smollm2, torch_reference):
    """The reference has our weights by the table of names, read backwards."""
    import torch

    sizes = smollm2.config
    config = transformers.LlamaConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.hidden_size,
        intermediate_size=sizes.mlp_size,
        num_hidden_layers=sizes.num_layers,
        num_attention_heads=sizes.num_heads,
        num_key_value_heads=sizes.num_kv_heads,
        max_position_embeddings=sizes.max_length,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_theta},
        rms_norm_eps=sizes.norm_epsilon,
        tie_word_embeddings=True,
    )
    tensors = {
        name: torch.tensor(np.asarray(tensor))
        for name, tensor in write_tensors(
            flatten_dict(smollm2.params, sep="/"), llama_tensor_map(sizes)
        )
    }
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    texts = ["The capital of France is", "Great film, I loved every minute. It was"]
    batch = smollm2.tokenizer(texts, padding=True, return_tensors="np")
    ids, mask = batch["input_ids"].astype(np.int32), batch["attention_mask"].astype(bool)
    assert not [name for name, weight in model.named_parameters() if weight.is_meta]
    assert max(torch_reference.errors(smollm2, model.eval(), ids, mask)) < 1e-5


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

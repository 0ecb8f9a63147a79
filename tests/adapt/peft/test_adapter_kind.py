"""The configs that each kind writes, byte for byte as they have always been, and the header."""

import json

import numpy as np
import pytest

from fsl_jax.adapt import (
    IA3,
    AdaLoRA,
    LNTuning,
    LoRA,
    PrefixTuning,
    PromptTuning,
    PTuning,
    PTuningV2,
    VeRA,
)
from fsl_jax.adapt.files.adapter_leaves import saved_shapes
from fsl_jax.adapt.peft.kinds import KINDS, kind_of_method
from fsl_jax.errors import InputError

HEADER = (
    '"task_type": "CAUSAL_LM", "base_model_name_or_path": "tiny-llama", "inference_mode": true, '
)
TRAINING = (
    '"target_r": 2, "total_step": 1000, "tinit": 100, "tfinal": 500, "deltaT": 1, "beta1": 0.85, '
    '"beta2": 0.85, "orth_reg_weight": 0.1, '
)
CONFIGS = {
    LoRA(rank=2, dora=True, scaling="rslora", alpha=3.5, targets="query$"): '{"peft_type": "LORA", '
    + HEADER
    + '"r": 2, "lora_alpha": 3.5, "lora_dropout": 0.0, "target_modules": ["q_proj"], '
    '"bias": "none", "fan_in_fan_out": false, "use_rslora": true, "use_dora": true, '
    '"modules_to_save": null, "rank_pattern": {}, "alpha_pattern": {}}',
    AdaLoRA(rank=4, target_rank=2, targets="query$"): '{"peft_type": "ADALORA", '
    + HEADER
    + '"init_r": 4, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["q_proj"], '
    + TRAINING
    + '"rank_pattern": {"model.layers.0.self_attn.q_proj.lora_E": [true, true, true, true], '
    '"model.layers.1.self_attn.q_proj.lora_E": [true, true, true, true]}, "bias": "none", '
    '"fan_in_fan_out": false, "modules_to_save": null}',
    VeRA(rank=3): '{"peft_type": "VERA", '
    + HEADER
    + '"r": 3, "target_modules": ["q_proj", "v_proj"], "projection_prng_key": 0, '
    '"save_projection": true, "vera_dropout": 0.0, "d_initial": 0.1, "bias": "none", '
    '"modules_to_save": null}',
    IA3(): '{"peft_type": "IA3", '
    + HEADER
    + '"target_modules": ["down_proj", "k_proj", "v_proj"], "feedforward_modules": ["down_proj"], '
    '"fan_in_fan_out": false, "modules_to_save": null}',
    LNTuning(): '{"peft_type": "LN_TUNING", '
    + HEADER
    + '"target_modules": ["input_layernorm", "norm", "post_attention_layernorm"], '
    '"modules_to_save": null}',
    PromptTuning(3): '{"peft_type": "PROMPT_TUNING", '
    + HEADER
    + '"num_virtual_tokens": 3, "token_dim": 16, "num_transformer_submodules": 1, '
    '"num_attention_heads": 4, "num_layers": 2, "prompt_tuning_init": "RANDOM"}',
    PTuning(3, hidden=7): '{"peft_type": "P_TUNING", '
    + HEADER
    + '"num_virtual_tokens": 3, "token_dim": 16, "num_transformer_submodules": 1, '
    '"num_attention_heads": 4, "num_layers": 2, "encoder_reparameterization_type": "LSTM", '
    '"encoder_hidden_size": 7, "encoder_num_layers": 2, "encoder_dropout": 0.0}',
    PrefixTuning(2, 7): '{"peft_type": "PREFIX_TUNING", '
    + HEADER
    + '"num_virtual_tokens": 2, "token_dim": 8, "num_transformer_submodules": 1, '
    '"num_attention_heads": 2, "num_layers": 2, "prefix_projection": true, '
    '"encoder_hidden_size": 7}',
    PTuningV2(2): '{"peft_type": "PREFIX_TUNING", '
    + HEADER
    + '"num_virtual_tokens": 2, "token_dim": 8, "num_transformer_submodules": 1, '
    '"num_attention_heads": 2, "num_layers": 2, "prefix_projection": false, '
    '"encoder_hidden_size": null}',
}


def written(method, base):
    shapes = saved_shapes(method, base)
    leaves = {path: np.ones(shape, np.float32) for path, shape in shapes.items()}
    kind = kind_of_method(method, leaves, base.config)
    return kind, *kind.write(leaves, method, base)


def test_every_kind_has_its_config_here():
    assert {type(method) for method in CONFIGS} == {kind.method for kind in KINDS}


@pytest.mark.parametrize("method", CONFIGS, ids=lambda method: method.name)
def test_a_config_has_its_header_and_then_the_fields_of_its_kind(tiny_bases, method):
    _, _, values = written(method, tiny_bases["llama"])
    assert json.dumps(values) == CONFIGS[method]


@pytest.mark.parametrize("method", CONFIGS, ids=lambda method: method.name)
def test_each_kind_checks_the_header_and_refuses_fields_that_it_does_not_know(tiny_bases, method):
    base = tiny_bases["llama"]
    kind, tensors, values = written(method, base)
    changes = {"peft_type": "LOHA", "revision": "main", "peft_version": "9", "unheard_of": 3}
    with pytest.raises(InputError) as error:
        kind.read(values | changes, tensors, base, "there")
    assert error.value.problems == (
        f"peft_type is 'LOHA'; expected '{kind.peft_type}'",
        "unheard_of is 3, which is not supported",
    )

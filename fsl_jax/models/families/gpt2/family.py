"""The family GPT-2."""

from fsl_jax.models.families.family import Family, GGUFLayout
from fsl_jax.models.families.gpt2 import checkpoint, gguf, model

GPT2 = Family(
    module=model.GPT2,
    config=checkpoint.gpt2_config,
    tensor_map=checkpoint.gpt2_tensor_map,
    json=checkpoint.gpt2_json,
    heads=checkpoint.gpt2_heads,
    ties=checkpoint.TIES,
    special_tokens=checkpoint.GPT2_TOKENS,
    tokenizer_class="GPT2Tokenizer",
    gguf=GGUFLayout("gpt2", gguf.gpt2_gguf_config, gguf.gpt2_gguf_tensor_map),
    other_linear_layers=("lm_head",),
)

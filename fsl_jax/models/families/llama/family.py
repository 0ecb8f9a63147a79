"""The families Llama, Mistral, Qwen2, Qwen3, Gemma 2 and Gemma 3, which share one module."""

import dataclasses

from fsl_jax.models.families.family import Family, GGUFLayout
from fsl_jax.models.families.llama import checkpoint, gemma, gemma_gguf, gguf, qwen
from fsl_jax.models.families.llama.model import Llama

LLAMA = Family(
    module=Llama,
    config=checkpoint.llama_config,
    tensor_map=checkpoint.llama_tensor_map,
    json=checkpoint.llama_json,
    heads=checkpoint.llama_heads,
    ties=checkpoint.TIES,
    gguf=GGUFLayout("llama", gguf.llama_gguf_config, gguf.llama_gguf_tensor_map),
    answering_renames=(("transformer.", "model."),),
    other_linear_layers=("lm_head",),
    vllm_adapters=True,
)

# In GGUF files it is a Llama with a sliding window.
MISTRAL = dataclasses.replace(
    LLAMA,
    config=checkpoint.mistral_config,
    json=checkpoint.mistral_json,
    tokenizer_class="PreTrainedTokenizerFast",
    gguf=None,
)

QWEN2 = dataclasses.replace(
    LLAMA,
    config=qwen.qwen2_config,
    json=qwen.qwen2_json,
    tokenizer_class="Qwen2Tokenizer",
    overrides_tokenizer_class=True,
    gguf=GGUFLayout("qwen2", gguf.llama_gguf_config, gguf.llama_gguf_tensor_map),
)

QWEN3 = dataclasses.replace(
    LLAMA,
    config=qwen.qwen3_config,
    json=qwen.qwen3_json,
    tokenizer_class="Qwen2Tokenizer",
    gguf=GGUFLayout("qwen3", gguf.llama_gguf_config, gguf.llama_gguf_tensor_map),
)

GEMMA2 = dataclasses.replace(
    LLAMA,
    config=gemma.gemma2_config,
    json=gemma.gemma2_json,
    ties=checkpoint.GEMMA_TIES,
    padding_token=0,
    tokenizer_class="GemmaTokenizer",
    gguf=GGUFLayout("gemma2", gemma_gguf.gemma2_gguf_config, gguf.llama_gguf_tensor_map),
)

GEMMA3 = dataclasses.replace(
    LLAMA,
    config=gemma.gemma3_config,
    json=gemma.gemma3_json,
    ties=checkpoint.GEMMA_TIES,
    padding_token=0,
    tokenizer_class="GemmaTokenizer",
    gguf=GGUFLayout("gemma3", gemma_gguf.gemma3_gguf_config, gguf.llama_gguf_tensor_map),
    # Without "Text", the architectures with a head are those of the multimodal models.
    architecture_stem="Gemma3Text",
)

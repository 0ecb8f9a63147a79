"""The families of models in GGUF files, by the name that `general.architecture` has for them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from fsl_jax.models.families.bert.gguf import bert_gguf_config, bert_gguf_tensor_map
from fsl_jax.models.families.gpt2.gguf import gpt2_gguf_config, gpt2_gguf_tensor_map
from fsl_jax.models.families.llama.gemma_gguf import gemma2_gguf_config, gemma3_gguf_config
from fsl_jax.models.families.llama.gguf import llama_gguf_config, llama_gguf_tensor_map
from fsl_jax.models.families.registry import Config
from fsl_jax.models.families.t5.gguf import t5_gguf_config, t5_gguf_tensor_map
from fsl_jax.models.tensors.tensor_map import StoredTensor, TensorMap


@dataclasses.dataclass(frozen=True)
class GGUFFamily:
    """What there is to know about the GGUF files of a family.

    Attributes:
      config: `config(source, metadata, tensors)` from what the file says.
      tensor_map: the tensor map of a file with a config.
    """

    config: Callable[[str, Mapping[str, Any], Mapping[str, StoredTensor]], Config]
    tensor_map: Callable[[Any], TensorMap]


_LLAMA = GGUFFamily(llama_gguf_config, llama_gguf_tensor_map)

GGUF_FAMILIES = {
    "bert": GGUFFamily(bert_gguf_config, bert_gguf_tensor_map),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gpt2": GGUFFamily(gpt2_gguf_config, gpt2_gguf_tensor_map),
    "gemma2": GGUFFamily(gemma2_gguf_config, llama_gguf_tensor_map),
    "gemma3": GGUFFamily(gemma3_gguf_config, llama_gguf_tensor_map),
    "t5": GGUFFamily(t5_gguf_config, t5_gguf_tensor_map),
}

"""Configs of a tiny model of each family."""

from typing import Any

from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import Config
from fsl_jax.models.families.t5.config import T5Config


def tiny_configs(vocab_size: int, max_length: int) -> dict[str, Config]:
    """Make a config of each family with two layers of width 16.

    Args:
      vocab_size: the number of tokens.
      max_length: the number of positions.

    Returns:
      The configs by the names that pages have for families.
    """
    sizes: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 16,
        "mlp_size": 24,
        "num_layers": 2,
        "num_heads": 4,
        "max_length": max_length,
    }
    return {
        "BERT": BertConfig(**sizes),
        "GPT-2": GPT2Config(**sizes),
        "Llama": LlamaConfig(**sizes, num_kv_heads=2, head_dim=4),
        "Qwen2": LlamaConfig(
            **sizes, num_kv_heads=2, head_dim=4, biases=("query", "key", "value"), family="qwen2"
        ),
        "T5": T5Config(**sizes, num_decoder_layers=2, head_dim=4),
    }

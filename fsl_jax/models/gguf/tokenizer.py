"""Build the tokenizer that a GGUF file has in its metadata, without PyTorch."""

from collections.abc import Callable

from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import unknown_name
from fsl_jax.models.gguf.byte_level import byte_level_tokenizer
from fsl_jax.models.gguf.metadata import Metadata, metadata_value
from fsl_jax.models.gguf.sentencepiece import sentencepiece_tokenizer
from fsl_jax.models.gguf.tokenizer_keys import require_supported_keys
from fsl_jax.models.gguf.unigram import unigram_tokenizer
from fsl_jax.models.gguf.wordpiece import wordpiece_tokenizer

# The format's names for tokenizers. A model of any family may have any of them.
_MODELS: dict[str, Callable[[Metadata], PreTrainedTokenizerFast]] = {
    "gpt2": byte_level_tokenizer,
    "bert": wordpiece_tokenizer,
    "llama": sentencepiece_tokenizer,
    "t5": unigram_tokenizer,
}
_LONGEST_NAME = 100


def gguf_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Build the tokenizer that the metadata of a GGUF file describes.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens and the chat template of the file.

    Raises:
      InputError: the metadata describe no tokenizer or one of an unknown kind, it has settings that
        are not supported, or they contradict themselves.
    """
    model = metadata_value(metadata, "tokenizer.ggml.model", str, "none")
    if model not in _MODELS:
        raise unknown_name("GGUF tokenizer (tokenizer.ggml.model)", model[:_LONGEST_NAME], _MODELS)
    require_supported_keys(metadata, model)
    return _MODELS[model](metadata)

"""The keys of tokenizers in the metadata of a GGUF file, and those that must be refused."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fsl_jax.errors import problems_error
from fsl_jax.models.gguf.metadata import Metadata

_TOKENIZER, _GGML = "tokenizer.", "tokenizer.ggml."

_READ = frozenset(
    "model pre tokens token_type scores merges bos_token_id eos_token_id eot_token_id eom_token_id "
    "eos_token_ids unknown_token_id padding_token_id mask_token_id cls_token_id seperator_token_id "
    "add_bos_token add_eos_token add_space_prefix remove_extra_whitespaces precompiled_charsmap "
    "normalizer.lowercase normalizer.strip_accents".split()
)
# The number of types is that of the rows of their embedding. Only llama.cpp's reranking adds a
# separator. Padding, masks and unknown tokens are never added because a file asks for it. The other
# tokens are for filling in the middle of a text, which nothing here does.
_HARMLESS = frozenset(
    "token_type_count add_sep_token add_padding_token add_mask_token add_unknown_token "
    "fim_pre_token_id fim_suf_token_id fim_mid_token_id fim_pad_token_id fim_rep_token_id "
    "fim_sep_token_id prefix_token_id suffix_token_id middle_token_id".split()
)
# Of several chat templates, that without a name is used. The JSON describes the same tokenizer.
_HARMLESS_STARTS = ("tokenizer.chat_template", "tokenizer.huggingface.json")

_NO_NORMALIZER = {
    "normalizer.lowercase": False,
    "normalizer.strip_accents": False,
}
_PLAIN = {**_NO_NORMALIZER, "precompiled_charsmap": (), "remove_extra_whitespaces": False}
_REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {**_PLAIN, "add_space_prefix": False},
    "llama": _PLAIN,
    "t5": _NO_NORMALIZER,
    "bert": {"add_bos_token": True, "add_eos_token": True, "precompiled_charsmap": ()},
}
"""The only values that a tokenizer model can have of settings that its kind does not read."""


def require_supported_keys(metadata: Metadata, model: str) -> None:
    """Raise an error for settings of a tokenizer that would be passed over.

    Args:
      metadata: `GGUFFile.metadata`.
      model: the tokenizer model, `tokenizer.ggml.model`.

    Raises:
      InputError: there are keys that are not known, or values that this kind cannot have.
    """
    problems = [*_unknown(metadata), *_unsupported(metadata, _REQUIRED[model])]
    if problems:
        raise problems_error(
            "the GGUF tokenizer has settings that are not supported for "
            f"tokenizer.ggml.model {model!r}. Give the directory of the model's Hugging Face files "
            "instead:",
            problems,
        )


def _unknown(metadata: Metadata) -> Iterator[str]:
    for key in metadata:
        if not key.startswith(_TOKENIZER) or key.startswith(_HARMLESS_STARTS):
            continue
        if not key.startswith(_GGML) or key.removeprefix(_GGML) not in _READ | _HARMLESS:
            yield f"{key}: not known"


def _unsupported(metadata: Metadata, required: Mapping[str, Any]) -> Iterator[str]:
    for name, expected in required.items():
        value = metadata.get(f"{_GGML}{name}")
        if expected == ():
            # A table without entries changes nothing.
            is_fine = value is None or (isinstance(value, np.ndarray | list) and not any(value))
        else:
            is_fine = value is None or value is expected
        if not is_fine:
            shown = "not empty" if expected == () else f"{_shown(value)}; expected {expected}"
            yield f"{_GGML}{name}: {shown}"


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, bool | int | float) else type(value).__name__

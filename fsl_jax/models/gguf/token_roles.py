"""The roles of tokens in the metadata of a GGUF file: begin, end, padding and so on."""

from collections.abc import Mapping

import numpy as np

from fsl_jax.errors import InputError, brief, problems_error
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.vocabulary import vocabulary

ROLES = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
    "mask_token": "mask_token_id",
}
"""The key of each role's token id, after `tokenizer.ggml.`, by the role's name in transformers."""

# GGUF's name for the architecture of encoders, including RoBERTa. RoBERTa's tokenizers put the
# tokens around a text that decoders call begin and end of sequence.
_ENCODER = "bert"
# Other keys for the tokens around a text, by role.
_ENCODER_ROLES = {"bos_token": "cls_token_id", "eos_token": "seperator_token_id"}
# The ends of a text, of a turn and of a message.
_LISTED_ENDS = "tokenizer.ggml.eos_token_ids"
_END_KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")


def is_encoder(metadata: Metadata) -> bool:
    """Return True for the architecture of encoders."""
    return metadata.get("general.architecture") == _ENCODER


def tokens_with_roles(
    metadata: Metadata, tokens: list[str], roles: Mapping[str, str]
) -> dict[str, str]:
    """Look up the tokens of roles.

    Args:
      metadata: `GGUFFile.metadata`.
      tokens: of the vocabulary.
      roles: the key of each role's token id, after `tokenizer.ggml.`.

    Returns:
      Tokens by role; roles that the file does not name are left out.

    Raises:
      InputError: a token id is not in the vocabulary.
    """
    ids = {
        role: metadata_value(metadata, f"tokenizer.ggml.{key}", int, None)
        for role, key in roles.items()
        if f"tokenizer.ggml.{key}" in metadata
    }
    if unknown := {role: index for role, index in ids.items() if not 0 <= index < len(tokens)}:
        raise problems_error(
            f"the GGUF vocabulary has {len(tokens)} tokens, and these are not among them. "
            f"{CONVERT_AGAIN}",
            [f"tokenizer.ggml.{roles[role]}: {index}" for role, index in unknown.items()],
        )
    return {role: tokens[index] for role, index in ids.items()}


def special_tokens(metadata: Metadata, tokens: list[str]) -> dict[str, str]:
    """Look up the special tokens of a model.

    In a file without a padding token, the end-of-sequence token is used for padding; only the
    attention mask then tells padding apart.

    Args:
      metadata: `GGUFFile.metadata`.
      tokens: of the vocabulary.

    Returns:
      Tokens by role, with the names of roles in transformers.

    Raises:
      InputError: there is no end-of-sequence token, or a token id is not in the vocabulary.
    """
    special = tokens_with_roles(metadata, tokens, ROLES)
    if "eos_token" not in special:
        raise InputError(
            "the GGUF metadata name no end-of-sequence token (tokenizer.ggml.eos_token_id). "
            f"{CONVERT_AGAIN}"
        )
    if is_encoder(metadata) and "bos_token" in special:
        _require_same_ends(metadata, tokens, special)
        special |= {"cls_token": special["bos_token"], "sep_token": special["eos_token"]}
    return {"pad_token": special["eos_token"], **special}


def gguf_end_tokens(metadata: Metadata) -> tuple[int, ...]:
    """Return the tokens that end generated text: the ends of a text, a turn and a message.

    Args:
      metadata: `GGUFFile.metadata`, from which `gguf_tokenizer` builds a tokenizer.

    Returns:
      Token ids, each once, ascending.

    Raises:
      InputError: a token id is not in the vocabulary.
    """
    keys = [key for key in (f"tokenizer.ggml.{end}" for end in _END_KEYS) if key in metadata]
    ends = [(key, metadata_value(metadata, key, int, None)) for key in keys]
    listed = metadata_value(metadata, _LISTED_ENDS, np.ndarray, np.zeros(0, np.int32))
    ends += [(_LISTED_ENDS, end) for end in listed.tolist()]
    size = len(vocabulary(metadata))
    if unknown := [f"{key}: {end}" for key, end in ends if end not in range(size)]:
        raise problems_error(
            f"the GGUF metadata name end tokens that the vocabulary lacks. {CONVERT_AGAIN}", unknown
        )
    return tuple(sorted({int(end) for _, end in ends}))


def _require_same_ends(metadata: Metadata, tokens: list[str], special: Mapping[str, str]) -> None:
    """Raise an error if an encoder has other tokens around a text than its begin and end."""
    others = tokens_with_roles(metadata, tokens, _ENCODER_ROLES)
    if problems := [
        f"tokenizer.ggml.{_ENCODER_ROLES[role]}: {brief(token)}; expected {brief(special[role])}"
        for role, token in others.items()
        if role in special and token != special[role]
    ]:
        raise problems_error(
            "the GGUF metadata name two different tokens for the begin or the end of a text. "
            f"{CONVERT_AGAIN}",
            problems,
        )

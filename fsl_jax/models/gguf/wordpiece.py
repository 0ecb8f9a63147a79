"""WordPiece in GGUF files: the tokenizer model "bert"."""

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.vocabulary import (
    CONTROL,
    CONVERT_AGAIN,
    Metadata,
    add_whole_tokens,
    finished,
    numbered,
    token_kinds,
    tokens_with_roles,
    vocabulary,
)
from fsl_jax.models.special_tokens import WORDPIECE_TOKENS

_SPACE, _INSIDE = "\u2581", "##"
_ROLES = {
    "cls_token": "bos_token_id",
    "sep_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
    "mask_token": "mask_token_id",
}
# Where a file has these too, they are meant.
_OWN_ROLES = {"cls_token": "cls_token_id", "sep_token": "seperator_token_id"}


def wordpiece_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Builds BERT's tokenizer (https://arxiv.org/abs/1810.04805).

    No file says whether the case of letters matters. It does where an ordinary token has a capital
    letter; elsewhere letters are made small and lose their accents, as BERT's own tokenizer does.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens of the file, or else those of BERT.

    Raises:
      InputError: the metadata lack something, or contradict themselves.
    """
    given = vocabulary(metadata)
    kinds = token_kinds(metadata, given)
    tokens = [
        token if kind == CONTROL else _piece(token)
        for token, kind in zip(given, kinds, strict=True)
    ]
    special = _special_tokens(metadata, tokens)
    pieces = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not _is_cased(tokens))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(_INSIDE)
    add_whole_tokens(tokenizer, tokens, kinds)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token in special.values()]
    )
    first, last = special["cls_token"], special["sep_token"]
    tokenizer.post_processor = TemplateProcessing(
        single=[first, "$A", last],
        pair=[first, "$A", last, "$B:1", f"{last}:1"],
        special_tokens=numbered(tokenizer, [first, last]),
    )
    return finished(tokenizer, metadata, special)


def _is_bracketed(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def _piece(token: str) -> str:
    """A token as BERT has it: files mark those that begin a word, BERT those inside of one."""
    # Older files leave all tokens in brackets as they are.
    if _is_bracketed(token):
        return token
    begins = token.startswith(_SPACE) and token != _SPACE
    return token.removeprefix(_SPACE) if begins else _INSIDE + token


def _is_cased(tokens: list[str]) -> bool:
    return any(token != token.lower() for token in tokens if not _is_bracketed(token))


def _special_tokens(metadata: Metadata, tokens: list[str]) -> dict[str, str]:
    known = {role: token for role, token in WORDPIECE_TOKENS.items() if token in set(tokens)}
    special = {role: known.get(role, "") for role in WORDPIECE_TOKENS}
    special |= tokens_with_roles(metadata, tokens, _ROLES)
    special |= tokens_with_roles(metadata, tokens, _OWN_ROLES)
    if lacking := sorted(role for role, token in special.items() if not token):
        raise InputError(
            f"the GGUF vocabulary has no {', '.join(lacking)}, which BERT's tokenizer needs. "
            f"{CONVERT_AGAIN}"
        )
    return special

"""WordPiece in GGUF files: the tokenizer model "bert"."""

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.errors import InputError
from fsl_jax.models.gguf.metadata import CONVERT_AGAIN, Metadata, metadata_value
from fsl_jax.models.gguf.token_roles import ROLES, tokens_with_roles
from fsl_jax.models.gguf.tokenizer_parts import add_whole_tokens, fast_tokenizer, template
from fsl_jax.models.gguf.vocabulary import CONTROL, token_kinds, vocabulary
from fsl_jax.models.special_tokens import WORDPIECE_TOKENS

_LOWERCASE = "tokenizer.ggml.normalizer.lowercase"
_STRIP_ACCENTS = "tokenizer.ggml.normalizer.strip_accents"
_SPACE, _INSIDE = "\u2581", "##"
_ROLES = {
    "cls_token": ROLES["bos_token"],
    "sep_token": ROLES["eos_token"],
    **{role: ROLES[role] for role in ("unk_token", "pad_token", "mask_token")},
}
# If a file has these keys too, they take precedence.
_PREFERRED_ROLES = {"cls_token": "cls_token_id", "sep_token": "seperator_token_id"}


def wordpiece_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """Build BERT's tokenizer (https://arxiv.org/abs/1810.04805).

    Most GGUF files do not say whether the tokenizer is cased. Then it is cased if an ordinary token
    has a capital letter. Otherwise letters are lowercased and lose their accents, as in BERT's
    uncased tokenizer.

    Args:
      metadata: `GGUFFile.metadata`.

    Returns:
      The tokenizer, with the special tokens of the file, or those of BERT where it has none.

    Raises:
      InputError: the metadata are incomplete or contradict themselves.
    """
    marked = vocabulary(metadata)
    kinds = token_kinds(metadata, marked)
    tokens = [
        token if kind == CONTROL else _piece(token)
        for token, kind in zip(marked, kinds, strict=True)
    ]
    special = _special_tokens(metadata, tokens)
    pieces = {token: index for index, token in enumerate(tokens)}
    if twice := len(tokens) - len(pieces):
        raise InputError(
            f"in the GGUF vocabulary {twice} tokens have the spelling of another. {CONVERT_AGAIN}"
        )
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=special["unk_token"]))
    tokenizer.normalizer = _normalizer(metadata, tokens)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(_INSIDE)
    add_whole_tokens(tokenizer, tokens, kinds)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token in special.values()]
    )
    first, last = special["cls_token"], special["sep_token"]
    pair = [first, "$A", last, "$B:1", f"{last}:1"]
    tokenizer.post_processor = template(tokenizer, [first, "$A", last], pair, [first, last])
    return fast_tokenizer(tokenizer, metadata, special)


def _normalizer(metadata: Metadata, tokens: list[str]) -> normalizers.BertNormalizer:
    lowercase = metadata_value(metadata, _LOWERCASE, bool, not _is_cased(tokens))
    strip_accents = metadata_value(metadata, _STRIP_ACCENTS, bool, lowercase)
    return normalizers.BertNormalizer(lowercase=lowercase, strip_accents=strip_accents)


def _is_bracketed(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


def _piece(token: str) -> str:
    """Return a token in BERT's spelling, which marks word insides; GGUF marks word starts."""
    # In older files, all tokens in brackets are unchanged.
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
    special |= tokens_with_roles(metadata, tokens, _PREFERRED_ROLES)
    if lacking := sorted(role for role, token in special.items() if not token):
        raise InputError(
            f"the GGUF vocabulary has no {', '.join(lacking)}, which BERT's tokenizer needs. "
            f"{CONVERT_AGAIN}"
        )
    return special

"""The heads that a model can have, and checks of the requested head."""

from typing import Any

from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.blocks.head_kinds import CLASSIFIERS, FEATURES, LANGUAGE_MODELS, MASKED_LM
from fsl_jax.models.families.registry import FAMILIES, Config


def known_heads(config: Config) -> tuple[str, ...]:
    """Return the kinds of heads that a model with this config can have."""
    family_heads = tuple(FAMILIES[config.family].heads(config))
    if config.is_encoder_decoder:
        return ("seq2seq_lm", *family_heads, "mean_features")
    return (*(("causal_lm",) if config.is_decoder else ()), *family_heads, *FEATURES)


def require_head(name: str, config: Config, head: str, num_labels: int | None) -> None:
    """Raise an error for a head that a model cannot have.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      head: the kind of head.
      num_labels: the number of classes that the user asks for; None if they do not say.

    Raises:
      InputError: the head is unknown, the family does not have it, or `num_labels` does not fit it.
    """
    kinds = (MASKED_LM, *LANGUAGE_MODELS, *CLASSIFIERS, *FEATURES)
    if head not in kinds:
        raise unknown_name("head", head, kinds)
    if head not in known_heads(config):
        raise InputError(
            f"{name}: a model of the family {config.family} has no head {head}. It can have: "
            f"{', '.join(known_heads(config))}."
        )
    if num_labels is not None and head not in CLASSIFIERS:
        raise InputError(
            f"num_labels={num_labels} was given for the head {head}, which has no classes. Leave "
            f"it out, or choose a head that has: {' or '.join(CLASSIFIERS)}."
        )
    if num_labels is not None and num_labels < 1:
        raise InputError(f"num_labels={num_labels}: expected 1 or more classes.")


def require_special_tokens(name: str, config: Config, head: str | None, tokenizer: Any) -> None:
    """Raise an error for a tokenizer without special tokens that a head needs and a model embeds.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      head: the kind of head; None needs no special token.
      tokenizer: the model's tokenizer.

    Raises:
      InputError: the tokenizer lacks a token, or the model does not embed it.
    """
    classifies = head == "sequence_classification"
    reads_last_token = config.is_decoder or config.is_encoder_decoder
    needed = {
        "mask_token": head == MASKED_LM,
        "cls_token": head == "cls_features" or (classifies and not reads_last_token),
        # At this token the decoder has read the whole text again.
        "eos_token": classifies and config.is_encoder_decoder,
    }
    for token, is_needed in needed.items():
        if is_needed and getattr(tokenizer, token, None) is None:
            raise InputError(
                f"{name}: the head {head} needs a tokenizer with a {token}, and this one has none. "
                f"Name it in tokenizer_config.json, or choose another head."
            )
        number = getattr(tokenizer, f"{token}_id", None)
        if is_needed and number is not None and number >= config.vocab_size:
            raise InputError(
                f"{name}: the head {head} needs the {token} {getattr(tokenizer, token)!r}, whose "
                f"number is {number}, and the model has {config.vocab_size} rows of tokens. Name "
                "another one in tokenizer_config.json, or choose another head."
            )

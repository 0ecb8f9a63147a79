"""Checks of the inputs that users give to a model."""

from typing import Any

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.head_kinds import ENCODER_HEADS
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.families.registry import Config
from fsl_jax.models.outputs import Params


def check_length(
    name: str, config: Config, length: int, before: int = 0, params: Params | None = None
) -> None:
    """Raise an error for more tokens than the model can read at once.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      length: the number of tokens.
      before: the number of positions before the tokens that count as well.
      params: the parameters, if they may have a suffix, whose vectors are counted in `length`.

    Raises:
      InputError: there are too many tokens.
    """
    most = config.max_length
    if before + length <= most:
        return
    tokens = f"{length} token{'s' * (length > 1)}"
    more = f" and the {before} before them" if before else ""
    after = suffix_length(params or {})
    behind = f", which leaves room for the {after} of the suffix" if after else ""
    raise InputError(
        f"{tokens}{more} are more than {name} can read at once, which is {most}. "
        f"Truncate the text to {max(most - before - after, 0)} tokens{behind}, or use a "
        "model with longer input."
    )


def require_encoder_decoder(name: str, config: Config, head: str | None) -> None:
    """Raise an error for a model without a decoder that attends to an encoder.

    Args:
      name: the model's name, for errors.
      config: the model's config.
      head: the kind of head that the model was loaded with.

    Raises:
      InputError: the model is no encoder-decoder, or was loaded without its decoder.
    """
    if not config.is_encoder_decoder:
        raise InputError(
            f"{name} ({config.family}) is no encoder-decoder: it has one stack of "
            "layers. Give all tokens to `apply` as input_ids."
        )
    if head in ENCODER_HEADS:
        raise InputError(
            f"{name} was loaded with the head {head}, without its decoder. Load it without a head."
        )


def require_no_decoder_inputs(name: str, head: str | None, inputs: dict[str, Any]) -> None:
    """Raise an error if a model whose head reads only `input_ids` gets inputs for a decoder.

    Args:
      name: the model's name, for errors.
      head: the kind of head.
      inputs: the arrays for the decoder by name, None for missing ones.

    Raises:
      InputError: an array is given.
    """
    if any(array is not None for array in inputs.values()):
        raise InputError(
            f"{name} was loaded with the head {head}, which reads input_ids alone. "
            f"Leave {', '.join(inputs)} out."
        )

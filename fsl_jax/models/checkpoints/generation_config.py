"""What `generation_config.json` says: the tokens that begin and end what a model writes.

Its defaults of sampling (temperature, top-p, …) are not applied: the same call gives the same
answer whatever file lies beside the weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from fsl_jax.errors import InputError

FILE = "generation_config.json"

_START, _END = "decoder_start_token_id", "eos_token_id"
# What makes a model write other tokens than its likeliest, whether or not it samples.
_NOT_APPLIED = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "encoder_no_repeat_ngram_size",
    "forced_bos_token_id",
    "forced_decoder_ids",
    "forced_eos_token_id",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "sequence_bias",
    "suppress_tokens",
)


def read_generation_config(directory: Path) -> dict[str, Any]:
    """Reads `generation_config.json`, with a warning of what `generate` would have to obey.

    Args:
      directory: that a Hugging Face model was saved to.

    Returns:
      What the file says; nothing where there is none.

    Raises:
      InputError: the file is damaged.
    """
    path = directory / FILE
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}. Fetch it again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected an object with settings. Fetch it again.")
    if found := [name for name in _NOT_APPLIED if values.get(name) not in (None, 0, [], {})]:
        logging.warning(
            "%s asks for %s, which is not applied: what is generated may differ from that of "
            "other programs.",
            path,
            ", ".join(found),
        )
    return values


def with_start(values: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """What `config.json` says, with the decoder's first token as generation has it."""
    start = generation.get(_START)
    return dict(values) if start is None else {**values, _START: start}


def end_tokens(
    directory: Path, values: Mapping[str, Any], generation: Mapping[str, Any]
) -> tuple[int, ...]:
    """The tokens that end what a model writes.

    Args:
      directory: for errors.
      values: what `config.json` says, which counts where `generation_config.json` names none.
      generation: what `generation_config.json` says.

    Returns:
      Their numbers, each once, ascending; none where neither file names any.

    Raises:
      InputError: what is named is no token's number, nor a list of them.
    """
    given, name = generation.get(_END), FILE
    if given is None:
        given, name = values.get(_END), "config.json"
    if given is None:
        return ()
    numbers = given if isinstance(given, list) else [given]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise InputError(
            f"{directory / name}: {_END} is {given!r}; expected the number of a token, or a list "
            "of them. Mend it, or fetch the file again."
        )
    return tuple(sorted(set(numbers)))

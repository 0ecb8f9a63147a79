"""Read `generation_config.json`: the tokens that begin and end a generated text.

The file's defaults for sampling (temperature, top-p, …) are not applied. So the result of a call
does not depend on this file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import logging

from fsl_jax.errors import InputError, brief
from fsl_jax.json_reader import read_json
from fsl_jax.ranges import MAX_INT32

FILE = "generation_config.json"

_START, _END = "decoder_start_token_id", "eos_token_id"
# Fields that change the chosen tokens even without sampling.
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
    """Read `generation_config.json`, and log a warning for fields that `generate` does not apply.

    Args:
      directory: a directory that a Hugging Face model was saved to.

    Returns:
      The values of the file; empty if there is no file.

    Raises:
      InputError: the file is damaged.
    """
    path = directory / FILE
    if not path.is_file():
        return {}
    values = read_json(path)
    if ignored := [name for name in _NOT_APPLIED if values.get(name) not in (None, 0, [], {})]:
        logging.warning(
            "%s asks for %s, which is not applied: what is generated may differ from that of "
            "other programs.",
            path,
            ", ".join(ignored),
        )
    return values


def with_start(values: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `config.json`, with the decoder's start token from `generation`."""
    start = generation.get(_START)
    return dict(values) if start is None else {**values, _START: start}


def end_tokens(
    directory: Path, values: Mapping[str, Any], generation: Mapping[str, Any]
) -> tuple[int, ...]:
    """Return the tokens that end a generated text.

    Args:
      directory: the model's directory, for errors.
      values: the values of `config.json`, which are used if `generation_config.json` names no
        token.
      generation: the values of `generation_config.json`.

    Returns:
      The token ids, each once, in ascending order; empty if neither file names a token.

    Raises:
      InputError: the value in a file is not a token id or a list of token ids.
    """
    named, name = generation.get(_END), FILE
    if named is None:
        named, name = values.get(_END), "config.json"
    if named is None:
        return ()
    numbers = named if isinstance(named, list) else [named]
    if not all(type(number) is int and 0 <= number <= MAX_INT32 for number in numbers):
        raise InputError(
            f"{directory / name}: {_END} is {brief(named)}; expected the number of a token, or a "
            "list of them. Correct it, or fetch the file again."
        )
    return tuple(sorted(set(numbers)))

"""Prompts as tokens: chat templates, special tokens, checks of lengths, and batches."""

import dataclasses
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fsl_jax.buckets import bucket_length
from fsl_jax.errors import InputError
from fsl_jax.models.generation.chat import Prompt, apply_template, last_text, prompt_problem
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.input_checks import row_problems
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import prompt_tokens, tokenize

MULTIPLE = 64
"""The capacity for new tokens is a multiple of this, to compile few programs."""


@dataclasses.dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts that are continued in one batch.

    Attributes:
      indices: their indices among all prompts; further rows only fill the batch.
      input_ids: int32 `[B, T]`.
      mask: bool `[B, T]`, True where a token is real.
      capacity: the maximum number of new tokens of a row, `N`.
    """

    indices: list[int]
    input_ids: np.ndarray
    mask: np.ndarray
    capacity: int


def tokenize_prompts(
    pretrained: Pretrained, prompts: Sequence[Prompt], chat: bool, problems: list[str]
) -> list[list[int]]:
    """Tokenize the prompts.

    Args:
      pretrained: the model.
      prompts: texts; with `chat`, user messages or whole conversations.
      chat: whether to format them with the tokenizer's chat template.
      problems: the list to which problems are added.

    Returns:
      The token ids of each prompt; empty for a prompt with a problem.
    """
    if chat and not pretrained.tokenizer.chat_template:
        problems.append(f"the tokenizer of {pretrained.name} has no chat template: give chat=False")
        return [[] for _ in prompts]
    encoded = [
        _encode(pretrained, index, prompt, chat, problems) for index, prompt in enumerate(prompts)
    ]
    texts = [last_text(prompt) if ids else "" for prompt, ids in zip(prompts, encoded, strict=True)]
    rows = pretrained.config.vocab_size
    problems += row_problems(pretrained.tokenizer, rows, texts, encoded)
    return encoded


def _encode(
    pretrained: Pretrained, index: int, prompt: Any, chat: bool, problems: list[str]
) -> list[int]:
    """Return the token ids of a prompt, or none after adding a problem."""
    if problem := prompt_problem(prompt):
        problems.append(f"prompt {index} is {problem}")
        return []
    if not chat and not isinstance(prompt, str):
        problems.append(f"prompt {index} is not a text; messages are for chat=True")
        return []
    try:
        ids = _token_ids(pretrained, prompt, chat)
    except (InputError, ValueError) as error:
        problems.append(f"prompt {index}: {error}")
        return []
    if not ids:
        problems.append(f"prompt {index} has no tokens")
    return ids


def _token_ids(pretrained: Pretrained, prompt: Prompt, chat: bool) -> list[int]:
    tokenizer = pretrained.tokenizer
    if chat:
        # The template adds the special tokens itself.
        text = apply_template(tokenizer, prompt)
        return tokenize(tokenizer, text, add_special_tokens=False, verbose=False)["input_ids"]
    continues = not getattr(pretrained.config, "is_encoder_decoder", False)
    (ids,) = prompt_tokens(tokenizer, [str(prompt)], continues=continues)
    return ids


def length_problems(
    reader: PromptReader, encoded: Sequence[Sequence[int]], max_new_tokens: int
) -> list[str]:
    """List the prompts that leave too few positions for a continuation; one line each."""
    longest = reader.max_length
    if reader.has_encoder:
        problems = [
            f"prompt {index} has {len(ids)} tokens, and the model reads at most {longest}. "
            "Shorten it"
            for index, ids in enumerate(encoded)
            if len(ids) > longest
        ]
        most = reader.max_decoder_length - 1
        if max_new_tokens > most:
            problems.append(
                f"max_new_tokens is {max_new_tokens}, and the model writes at most {most}. "
                "Give so many or fewer"
            )
        return problems
    return [
        f"prompt {index} has {len(ids)} tokens and max_new_tokens is {max_new_tokens}, together "
        f"more than the model's longest sequence, which is {longest}. {_remedy(longest - len(ids))}"
        for index, ids in enumerate(encoded)
        if len(ids) + max_new_tokens > longest
    ]


def _remedy(free: int) -> str:
    """Return the advice for a prompt that leaves `free` positions."""
    return f"Shorten it, or give max_new_tokens of at most {free}" if free > 0 else "Shorten it"


def row_seeds(encoded: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the two numbers from which each prompt's random keys are made.

    They are a checksum of its tokens and the number of equal prompts before it. So a continuation
    does not depend on other prompts.
    """
    before: Counter[int] = Counter()
    seeds = []
    for ids in encoded:
        number = zlib.crc32(np.asarray(ids, np.int32).tobytes())
        seeds.append((number, before[number]))
        before[number] += 1
    return seeds


def padded_length(
    reader: PromptReader, longest: int, settings: GenerationSettings, before: int = 0
) -> int:
    """Return the length to which a decoder's prompts are padded.

    Args:
      reader: the model.
      longest: the number of tokens of the longest prompt.
      settings: the settings of the generation.
      before: the number of columns of a shared prefix.

    Returns:
      The length of a bucket, which leaves room for the prefix and the continuations.
    """
    return bucket_length(longest, reader.max_length - before - settings.max_new_tokens)


def batches(
    reader: PromptReader,
    encoded: Sequence[Sequence[int]],
    settings: GenerationSettings,
    before: int = 0,
) -> Iterator[PromptBatch]:
    """Group prompts of similar length into batches of few shapes, the short ones first.

    Args:
      reader: the model.
      encoded: token ids of all prompts, without a shared prefix.
      settings: the settings of the generation.
      before: the number of columns of that prefix; 0 without one.

    Yields:
      Batches. The number of rows is a power of two or `batch_size`. Prompts are padded to the
      length of a bucket, on the left for a decoder and on the right for an encoder.
    """
    longest = reader.max_length
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    for first in range(0, len(order), settings.batch_size):
        indices = order[first : first + settings.batch_size]
        tokens = len(encoded[indices[-1]])
        if reader.has_encoder:
            length, free = bucket_length(tokens, longest), reader.max_decoder_length - 1
        else:
            length = padded_length(reader, tokens, settings, before)
            free = longest - before - length
        rows = min(1 << (len(indices) - 1).bit_length(), settings.batch_size)
        filled = [encoded[index] for index in indices + indices[-1:] * (rows - len(indices))]
        input_ids, mask = _pad(filled, length, on_left=not reader.has_encoder)
        capacity = min(-(-settings.max_new_tokens // MULTIPLE) * MULTIPLE, free)
        yield PromptBatch(indices, input_ids, mask, capacity)


def _pad(
    encoded: Sequence[Sequence[int]], length: int, on_left: bool
) -> tuple[np.ndarray, np.ndarray]:
    input_ids = np.zeros((len(encoded), length), np.int32)
    mask = np.zeros((len(encoded), length), bool)
    for row, ids in enumerate(encoded):
        columns = slice(length - len(ids), None) if on_left else slice(len(ids))
        input_ids[row, columns], mask[row, columns] = ids, True
    return input_ids, mask

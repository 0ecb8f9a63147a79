"""Prompts as tokens: chat templates, special tokens, what cannot be continued, and batches."""

import dataclasses
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fsl_jax.buckets import bucket_length
from fsl_jax.models.generation.reader import Reader
from fsl_jax.models.generation.settings import GenerationSettings
from fsl_jax.models.pretrained import Pretrained

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Prompt = str | Sequence[Mapping[str, str]]
"""A text, or the messages of a chat, each with `role` and `content`."""

MULTIPLE = 64
"""Tokens of a continuation are given room in multiples of this, so that few programs are made."""


@dataclasses.dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts that are continued together.

    Attributes:
      indices: their places among all prompts; rows after these fill the batch.
      input_ids: int32 `[B, T]`.
      mask: bool `[B, T]`.
      capacity: `N`, how many tokens a row can get.
    """

    indices: list[int]
    input_ids: np.ndarray
    mask: np.ndarray
    capacity: int


def tokenize(
    pretrained: Pretrained, prompts: Sequence[Prompt], chat: bool, found: list[str]
) -> list[list[int]]:
    """Token ids of each prompt.

    Args:
      pretrained: the model.
      prompts: texts; with `chat`, texts that a user says, or whole conversations.
      chat: whether to put them into the tokenizer's chat template.
      found: where faults are added.

    Returns:
      The ids; empty for a prompt that has a fault.
    """
    tokenizer = pretrained.tokenizer
    if chat and not tokenizer.chat_template:
        found.append(f"the tokenizer of {pretrained.name} has no chat template: give chat=False")
        return [[] for _ in prompts]
    texts = [_text(tokenizer, index, each, chat, found) for index, each in enumerate(prompts)]
    # A chat template writes the special tokens itself.
    encoded = [
        [] if text is None else tokenizer(text, add_special_tokens=not chat)["input_ids"]
        for text in texts
    ]
    found += [
        f"prompt {index} has no tokens"
        for index, (text, ids) in enumerate(zip(texts, encoded, strict=True))
        if text is not None and not ids
    ]
    return encoded


def _text(
    tokenizer: "PreTrainedTokenizerFast", index: int, prompt: Prompt, chat: bool, found: list[str]
) -> str | None:
    if not chat:
        if isinstance(prompt, str):
            return prompt
        found.append(f"prompt {index} is not a text; messages are for chat=True")
        return None
    from jinja2 import TemplateError

    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    try:
        return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    except TemplateError as error:
        found.append(f"prompt {index}: the chat template refuses it: {error}")
        return None


def length_problems(
    reader: Reader, encoded: Sequence[Sequence[int]], max_new_tokens: int
) -> list[str]:
    """Prompts that leave too little room for what is to follow; a line each."""
    longest = reader.longest
    if reader.has_encoder:
        found = [
            f"prompt {index} has {len(ids)} tokens, and the model reads at most {longest}. "
            "Shorten it"
            for index, ids in enumerate(encoded)
            if len(ids) > longest
        ]
        most = reader.longest_written - 1
        if max_new_tokens > most:
            found.append(
                f"max_new_tokens is {max_new_tokens}, and the model writes at most {most}. "
                "Give so many or fewer"
            )
        return found
    return [
        f"prompt {index} has {len(ids)} tokens and max_new_tokens is {max_new_tokens}, together "
        f"more than the model's longest sequence, which is {longest}. {_remedy(longest - len(ids))}"
        for index, ids in enumerate(encoded)
        if len(ids) + max_new_tokens > longest
    ]


def _remedy(room: int) -> str:
    return f"Shorten it, or give max_new_tokens of at most {room}" if room > 0 else "Shorten it"


def row_seeds(encoded: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Two numbers for each prompt that its keys are made of.

    They come from its tokens, and from how often the same prompt stood before, so that what
    follows a prompt depends on no other.
    """
    before: Counter[int] = Counter()
    seeds = []
    for ids in encoded:
        number = zlib.crc32(np.asarray(ids, np.int32).tobytes())
        seeds.append((number, before[number]))
        before[number] += 1
    return seeds


def batches(
    reader: Reader, encoded: Sequence[Sequence[int]], settings: GenerationSettings
) -> Iterator[PromptBatch]:
    """Batches of few shapes, in which prompts of like length stand together, the short ones first.

    Args:
      reader: the model.
      encoded: token ids of all prompts.
      settings: of the generation.

    Yields:
      Batches. A batch has a power of two of rows, or `batch_size`; prompts are padded to one of the
      few lengths of buckets, before them for a decoder and after them for an encoder.
    """
    longest = reader.longest
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    for first in range(0, len(order), settings.batch_size):
        indices = order[first : first + settings.batch_size]
        tokens = len(encoded[indices[-1]])
        if reader.has_encoder:
            length, room = bucket_length(tokens, longest), reader.longest_written - 1
        else:
            length = bucket_length(tokens, longest - settings.max_new_tokens)
            room = longest - length
        rows = min(1 << (len(indices) - 1).bit_length(), settings.batch_size)
        filled = [encoded[index] for index in indices + indices[-1:] * (rows - len(indices))]
        input_ids, mask = _pad(filled, length, before=not reader.has_encoder)
        capacity = min(-(-settings.max_new_tokens // MULTIPLE) * MULTIPLE, room)
        yield PromptBatch(indices, input_ids, mask, capacity)


def _pad(
    encoded: Sequence[Sequence[int]], length: int, before: bool
) -> tuple[np.ndarray, np.ndarray]:
    input_ids = np.zeros((len(encoded), length), np.int32)
    mask = np.zeros((len(encoded), length), bool)
    for row, ids in enumerate(encoded):
        columns = slice(length - len(ids), None) if before else slice(len(ids))
        input_ids[row, columns], mask[row, columns] = ids, True
    return input_ids, mask

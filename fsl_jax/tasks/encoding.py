"""Encode examples as padded arrays: all at one length, or in batches of few lengths."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from fsl_jax.buckets import bucket_length, pad_tokens
from fsl_jax.data.examples import Example
from fsl_jax.models.input_checks import padding_id
from fsl_jax.tasks.formulation import Formulation


@dataclasses.dataclass(frozen=True, eq=False)
class Encoded:
    """Examples as arrays.

    Attributes:
      arrays: `input_ids` int32 `[E, T]`, `attention_mask` bool `[E, T]` (True where a token is
        real) and `label` int32 `[E]`.
      truncated: the number of texts that were cut because they were too long for the model.
    """

    arrays: dict[str, np.ndarray]
    truncated: int


def encode(formulation: Formulation, examples: Sequence[Example]) -> Encoded:
    """Encode all examples in one set of arrays, padded to the bucket of the longest.

    Args:
      formulation: turns an example into tokens.
      examples: E examples.

    Returns:
      The arrays.
    """
    tokens, truncated = formulation.tokenize(examples)
    length = bucket_length(max(map(len, tokens)), formulation.limit)
    input_ids, attention_mask = pad_tokens(tokens, length, pad_id(formulation))
    arrays = {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "label": label_indices(examples, formulation.labels),
    }
    return Encoded(arrays, truncated)


def batches_by_length(
    tokens: Sequence[Sequence[int]], batch_size: int, limit: int, pad: int
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Group examples of similar length into batches of one size, short examples first.

    Args:
      tokens: token ids of E examples.
      batch_size: B; a smaller last batch is filled with copies of its last example.
      limit: the largest length.
      pad: the token id to pad with.

    Yields:
      The indices of a batch's examples, without copies, and the batch's `input_ids` and
      `attention_mask` `[B, T]`, where T is one of a few bucket lengths.
    """
    order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        length = bucket_length(len(tokens[chosen[-1]]), limit)
        filled = chosen + chosen[-1:] * (batch_size - len(chosen))
        input_ids, mask = pad_tokens([tokens[index] for index in filled], length, pad)
        yield np.array(chosen), {"input_ids": input_ids, "attention_mask": mask}


def label_indices(examples: Sequence[Example], labels: tuple[str, ...]) -> np.ndarray:
    """Return the labels of examples as indices into `labels`, int32 `[E]`."""
    index = {label: position for position, label in enumerate(labels)}
    return np.array([index[example.label] for example in examples], np.int32)


def pad_id(formulation: Formulation) -> int:
    """Return the token id for padding; any id would do, since the mask hides it."""
    pretrained = formulation.pretrained
    return padding_id(pretrained.tokenizer, pretrained.config.vocab_size)

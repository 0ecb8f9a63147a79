"""Verbalizers: from labels to the words that a language model is asked for."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError, problems_error


@dataclasses.dataclass(frozen=True)
class Verbalizer:
    """A map from each label to one or more label words, each of one or more tokens.

    Attributes:
      words: for each label, in the order of the labels, its words as they follow a prompt, with
        their leading space.
    """

    words: tuple[tuple[str, ...], ...]

    @classmethod
    def from_mapping(
        cls, labels: Sequence[str], mapping: Mapping[str, str | Sequence[str]] | None = None
    ) -> "Verbalizer":
        """Makes a verbalizer; a label that the mapping does not name stands for itself.

        Args:
          labels: the classes, in order.
          mapping: words by label, for example `{"sport": ["sport", "football"]}`.

        Returns:
          The verbalizer.

        Raises:
          InputError: the mapping names something that is no label, a word is empty, or one word
            stands for two labels.
        """
        mapping = {
            key: [value] if isinstance(value, str) else value
            for key, value in (mapping or {}).items()
        }
        words = tuple(
            tuple(_with_space(word) for word in mapping.get(label, [label.replace("_", " ")]))
            for label in labels
        )
        found = [f"{label!r} is not a label" for label in mapping if label not in labels]
        found += [
            f"label {label!r} has no words, or an empty one"
            for label, chosen in zip(labels, words, strict=True)
            if not chosen or any(not word.strip() for word in chosen)
        ]
        every = [word for chosen in words for word in chosen]
        found += [
            f"{word!r} stands twice" for word in sorted({w for w in every if every.count(w) > 1})
        ]
        if found:
            raise problems_error(
                f"the verbalizer does not fit the labels {', '.join(labels)}:", found
            )
        return cls(words)

    def tokens(self, tokenizer: PreTrainedTokenizerBase, prompt: str | None) -> list[list[int]]:
        """The token ids of all W words, label by label.

        Args:
          tokenizer: the model's tokenizer.
          prompt: what stands before a word. By itself a word may have other tokens: some
            tokenizers put a space before every text. None where a word is a text of its own, as
            those that the decoder of an encoder-decoder writes.

        Returns:
          For each word its ids.

        Raises:
          InputError: two words have the same tokens, so the model could not tell them apart; or a
            word does not come after the prompt's own tokens.
        """
        every = [word for chosen in self.words for word in chosen]
        if prompt is None:
            texts = [word.strip() for word in every]
            ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
            found = [
                f"{word!r} has no tokens" for word, own in zip(texts, ids, strict=True) if not own
            ]
        else:
            ids, found = _following(tokenizer, prompt, every)
        found += [
            f"{every[i]!r} and {every[j]!r} have the same tokens"
            for j in range(len(ids))
            for i in range(j)
            if ids[i] == ids[j]
        ]
        if found:
            raise problems_error(
                "label words that do not work with this tokenizer; choose others:", found
            )
        return ids

    def owners(self) -> list[int]:
        """For each word of `tokens` the index of its label."""
        return [index for index, chosen in enumerate(self.words) for _ in chosen]


def _following(
    tokenizer: PreTrainedTokenizerBase, prompt: str, words: Sequence[str]
) -> tuple[list[list[int]], list[str]]:
    """The tokens of words after a prompt, and what is wrong with them."""
    before = tokenizer(prompt)["input_ids"]
    whole = [tokenizer(prompt + word)["input_ids"] for word in words]
    found = [
        f"{word!r} does not follow the tokens of the prompt {prompt!r}"
        for word, ids in zip(words, whole, strict=True)
        if ids[: len(before)] != before or len(ids) == len(before)
    ]
    return [ids[len(before) :] for ids in whole], found


def parse_verbalizer(text: str) -> dict[str, list[str]]:
    """Reads a verbalizer as it is written in flags.

    Args:
      text: a JSON object from labels to a word or a list of words.

    Returns:
      The words by label.

    Raises:
      InputError: the text is something else.
    """
    expected = (
        f"cannot read the verbalizer {text!r}: expected a JSON object from labels to words, "
        'such as {"positive": "great", "negative": ["bad", "terrible"]}'
    )
    try:
        mapping = json.loads(text, object_pairs_hook=_once_each)
    except ValueError as error:
        raise InputError(f"{expected} ({error})") from error
    if not isinstance(mapping, dict):
        raise InputError(expected)
    listed = {key: [value] if isinstance(value, str) else value for key, value in mapping.items()}
    found = [
        f"label {label!r} has {json.dumps(words)}"
        for label, words in listed.items()
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words)
    ]
    if found:
        raise problems_error(f"{expected}:", found)
    return listed


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _with_space(word: str) -> str:
    return " " + word.strip()

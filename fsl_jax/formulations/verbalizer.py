"""Verbalizers, which map labels to the words that a language model predicts."""

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from fsl_jax.errors import InputError, problems_error
from fsl_jax.json_reader import parse_json
from fsl_jax.models.tokenizing import prompt_tokens, require_characters, tokenize


@dataclasses.dataclass(frozen=True)
class Verbalizer:
    """A map from each label to one or more label words, each of one or more tokens.

    Attributes:
      words: the words of each label, in the order of the labels; each begins with a space, as after
        a prompt.
    """

    words: tuple[tuple[str, ...], ...]

    @classmethod
    def from_mapping(
        cls, labels: Sequence[str], mapping: Mapping[str, str | Sequence[str]] | None = None
    ) -> "Verbalizer":
        """Make a verbalizer; a label that the mapping lacks is its own label word.

        Args:
          labels: the classes, in order.
          mapping: words by label, for example `{"sport": ["sport", "football"]}`.

        Returns:
          The verbalizer.

        Raises:
          InputError: the mapping has a key that is not a label, a word is empty, or one word is
            used for two labels.
        """
        mapping = {
            key: [value] if isinstance(value, str) else value
            for key, value in (mapping or {}).items()
        }
        _require_characters(mapping)
        words = tuple(
            tuple(_with_space(word) for word in mapping.get(label, [label.replace("_", " ")]))
            for label in labels
        )
        problems = [f"{label!r} is not a label" for label in mapping if label not in labels]
        problems += [
            f"label {label!r} has no words, or an empty one"
            for label, label_words in zip(labels, words, strict=True)
            if not label_words or any(not word.strip() for word in label_words)
        ]
        counts = Counter(word for label_words in words for word in label_words)
        problems += [f"{word!r} appears twice" for word in sorted(counts) if counts[word] > 1]
        if problems:
            raise problems_error(
                f"the verbalizer does not fit the labels {', '.join(labels)}:", problems
            )
        return cls(words)

    def tokens(self, tokenizer: PreTrainedTokenizerBase, prompt: str | None) -> list[list[int]]:
        """Tokenise all W words, label by label.

        Args:
          tokenizer: the model's tokenizer.
          prompt: a text before a word. Without it a word may have other tokens, since some
            tokenizers put a space before every text. None if a word is a text by itself, as in the
            decoder of an encoder-decoder.

        Returns:
          The token ids of each word.

        Raises:
          InputError: two words have the same tokens, so the model cannot distinguish them; or the
            tokens of a prompt change if a word follows it.
        """
        words = [word for label_words in self.words for word in label_words]
        if prompt is None:
            ids, problems = _tokens_alone(tokenizer, words)
        else:
            ids, problems = _tokens_after(tokenizer, prompt, words)
        problems += [
            f"{words[i]!r} and {words[j]!r} have the same tokens"
            for j in range(len(ids))
            for i in range(j)
            if ids[i] == ids[j]
        ]
        if problems:
            raise problems_error(
                "label words that do not work with this tokenizer; choose others:", problems
            )
        return ids

    def class_indices(self) -> list[int]:
        """Return the index of each word's label, in the order of `tokens`."""
        return [index for index, label_words in enumerate(self.words) for _ in label_words]


def _tokens_alone(
    tokenizer: PreTrainedTokenizerBase, words: Sequence[str]
) -> tuple[list[list[int]], list[str]]:
    """Tokenise each word as a text by itself; return the token ids and the problems."""
    texts = [word.strip() for word in words]
    ids = tokenize(tokenizer, texts, add_special_tokens=False)["input_ids"]
    tokens_of_words = zip(texts, ids, strict=True)
    return ids, [f"{word!r} has no tokens" for word, tokens in tokens_of_words if not tokens]


def _tokens_after(
    tokenizer: PreTrainedTokenizerBase, prompt: str, words: Sequence[str]
) -> tuple[list[list[int]], list[str]]:
    """Tokenise each word after a prompt; return the token ids and the problems."""
    before, *whole = prompt_tokens(tokenizer, [prompt, *(prompt + word for word in words)])
    problems = [
        f"{word!r} does not follow the tokens of the prompt {prompt!r}"
        for word, ids in zip(words, whole, strict=True)
        if ids[: len(before)] != before or len(ids) == len(before)
    ]
    return [ids[len(before) :] for ids in whole], problems


def parse_verbalizer(text: str) -> dict[str, list[str]]:
    """Parse a verbalizer as written in flags.

    Args:
      text: a JSON object from labels to a word or a list of words.

    Returns:
      The words by label.

    Raises:
      InputError: the text is not such a JSON object.
    """
    expected = (
        f"cannot read the verbalizer {text!r}: expected a JSON object from labels to words, "
        'such as {"positive": "great", "negative": ["bad", "terrible"]}'
    )
    try:
        mapping: dict[str, Any] = parse_json(text, "the verbalizer")
    except InputError as error:
        raise InputError(f"{expected} ({error})") from error
    listed = {key: [value] if isinstance(value, str) else value for key, value in mapping.items()}
    problems = [
        f"label {label!r} has {json.dumps(words)}"
        for label, words in listed.items()
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words)
    ]
    if problems:
        raise problems_error(f"{expected}:", problems)
    _require_characters(listed)
    return listed


def _require_characters(mapping: Mapping[str, Sequence[str]]) -> None:
    for word in itertools.chain(*mapping.values(), mapping):
        require_characters(word, f"the label word {word!r}")


def _with_space(word: str) -> str:
    return " " + word.strip()

"""Two texts in one segment, such as a premise and a hypothesis, or a question and a paragraph.

An encoder reads them as its tokenizer joins a pair: with the separators of its family between them,
such as `[SEP]`, `</s></s>` or `</s>`. All tokens have the token type 0, since models embed no
other. A decoder reads them on two lines, and so does a model whose tokenizer has no separator.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import require_characters, tokenize

_ANY = "a"
"""A text that has tokens of its own."""


class PairFrame(NamedTuple):
    """The tokens around two texts.

    Attributes:
      before: the token ids before the first text.
      between: those between the texts.
      after: those after the second text.
      line_end: what ends the first text; empty if tokens stand between the texts.
    """

    before: list[int]
    between: list[int]
    after: list[int]
    line_end: str

    @property
    def size(self) -> int:
        """The number of tokens around the texts."""
        return len(self.before) + len(self.between) + len(self.after)

    def room(self, limit: int) -> int:
        """Return the number of tokens of both texts.

        Args:
          limit: the largest number of tokens of a segment.

        Raises:
          InputError: there is no room for a token of each text.
        """
        if limit < self.size + 2:
            raise InputError(
                f"a segment of {limit} tokens has no room for two texts and the {self.size} "
                f"special tokens around them: raise max_length to {self.size + 2} or more"
            )
        return limit - self.size

    def join(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """Return the token ids of a segment, given those of its two texts."""
        return [*self.before, *first, *self.between, *second, *self.after]


def pair_frame(pretrained: Pretrained) -> PairFrame:
    """Return what a model has around two texts.

    Args:
      pretrained: the model.

    Returns:
      The tokens.
    """
    if not pretrained.config.is_decoder:
        before, between, after = _added(pretrained, text_pair=_ANY)
        if between:
            return PairFrame(before, between, after, "")
    before, _, after = _added(pretrained)
    return PairFrame(before, [], after, "\n")


def text_tokens(
    pretrained: Pretrained, examples: Sequence[Example], **options: Any
) -> list[list[int]]:
    """Return the tokens of examples: those of a pair for two parts, if a model reads pairs.

    Args:
      pretrained: the model.
      examples: E examples. All parts of one are joined by new lines if it is not read as a pair.
      options: options of the tokenizer.

    Returns:
      The token ids of each example, with special tokens.

    Raises:
      InputError: as in `fsl_jax.models.tokenizing.tokenize`.
    """
    joins = bool(pair_frame(pretrained).between)
    are_pairs = [joins and len(example.parts) == 2 for example in examples]
    tokens: list[list[int]] = [[]] * len(examples)
    for is_pair in set(are_pairs):
        numbers = [number for number, each in enumerate(are_pairs) if each == is_pair]
        chosen = [examples[number] for number in numbers]
        found = _of_pairs if is_pair else _of_texts
        for number, ids in zip(numbers, found(pretrained, chosen, options), strict=True):
            tokens[number] = ids
    return tokens


def plain_tokens(pretrained: Pretrained, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of texts, without special tokens around them."""
    options = {"add_special_tokens": False, "verbose": False}
    tokens: list[list[int]] = tokenize(pretrained.tokenizer, texts, **options)["input_ids"]
    return tokens


def _of_texts(
    pretrained: Pretrained, examples: Sequence[Example], options: dict[str, Any]
) -> list[list[int]]:
    texts = [example.text for example in examples]
    tokens: list[list[int]] = tokenize(pretrained.tokenizer, texts, **options)["input_ids"]
    return tokens


def _of_pairs(
    pretrained: Pretrained, examples: Sequence[Example], options: dict[str, Any]
) -> list[list[int]]:
    first, second = zip(*(example.parts.values() for example in examples), strict=True)
    for text in second:
        require_characters(text)
    encoded = tokenize(pretrained.tokenizer, first, text_pair=list(second), **options)
    tokens: list[list[int]] = encoded["input_ids"]
    return tokens


def _added(pretrained: Pretrained, **options: str) -> tuple[list[int], list[int], list[int]]:
    """Return the tokens that the tokenizer adds before, between and after texts."""
    [encoding] = tokenize(pretrained.tokenizer, _ANY, **options).encodings
    ids, owners = encoding.ids, encoding.sequence_ids
    inside = [place for place, owner in enumerate(owners) if owner is not None]
    first, last = inside[0], inside[-1]
    between = [ids[place] for place in range(first, last) if owners[place] is None]
    return ids[:first], between, ids[last + 1 :]

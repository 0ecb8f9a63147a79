"""The formulation `word_head`: a linear layer on the hidden states of words."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import jax
import numpy as np

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import TEXT, Example
from fsl_jax.formulations.heads.place_head import PLACES, PlaceHead, rows_of
from fsl_jax.formulations.objectives.entities import NO_WORD, OUTSIDE
from fsl_jax.formulations.objectives.tagging import TaggingObjective, WordLogits
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.formulations.words import NO_PLACE, WordTokens, tokenize_words
from fsl_jax.packing.batch import Batch


def tags_of_types(types: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of IOB2 for types of entities."""
    return (OUTSIDE, *(f"{begin}-{name}" for name in types for begin in "BI"))


@dataclasses.dataclass(frozen=True, eq=False)
class WordHead(PlaceHead):
    """Tags words with a linear layer on the hidden state of one token of each.

    In an encoder that is the first token of a word, as in BERT. In a decoder it is the last one,
    which has seen the whole word.

    Attributes:
      pretrained: the model.
      tags: the C tags of IOB2.
      max_length: as in `TextHead`.
      reserved_positions: as in `TextHead`.
    """

    tags: tuple[str, ...]
    name: ClassVar[str] = "word_head"

    @property
    def outputs_size(self) -> int:
        """C, the number of tags."""
        return len(self.tags)

    @property
    def objective(self) -> TaggingObjective:
        """The cross-entropy of the tags of words, and the F1 of entities."""
        return TaggingObjective(self.tags)

    # Instances are frozen: it is as read-only as the fields of other heads.
    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """The types of entities."""
        return tuple(dict.fromkeys(tag.partition("-")[2] for tag in self.tags if "-" in tag))

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Tokenise texts; cut those longer than the limit at their end, and count them.

        Args:
          examples: E examples, whose text has single spaces between words.
          answered: not used, since answers are no tokens.

        Returns:
          A segment for each text, with the places of its words.

        Raises:
          InputError: a text has a token that the model does not embed.
        """
        texts = [example.parts[TEXT] for example in examples]
        sentences = [text.split(" ") for text in texts]
        found = tokenize_words(self.pretrained.tokenizer, sentences, self.limit)
        tokens = [each.ids for each in found]
        self.require_rows(texts, tokens)
        places = rows_of([self._places(each) for each in found])
        return Tokenized(tokens, sum(each.is_cut for each in found), features={PLACES: places})

    def _places(self, words: WordTokens) -> list[int]:
        """Return the place of the token that stands for each word."""
        return words.last if self.pretrained.config.is_decoder else words.first

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> np.ndarray:
        """Return the index of each word's tag, int32 `[E, W]`; -1 where there is no word."""
        numbers = {tag: number for number, tag in enumerate(self.tags)}
        targets = np.full_like(tokenized.features[PLACES], NO_WORD)
        for row, example in zip(targets, examples, strict=True):
            row[: len(example.answer)] = [numbers[tag] for tag in example.answer]
        return targets

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> WordLogits:
        """Compute the logits of the tags of each word; see `TextHead.outputs`."""
        logits = super().outputs(params, batch, dropout=dropout, key=key)
        return WordLogits(logits, batch.features[PLACES] != NO_PLACE)

    def decode(
        self, outputs: WordLogits, examples: Sequence[Example], tokenized: Tokenized
    ) -> list[tuple[str, ...]]:
        """Return the most probable tag of each word, and `O` for words that were cut off."""
        found = np.asarray(self.objective.predictions(outputs))
        return [
            tuple(self.tags[number] for number in row[: example.parts[TEXT].count(" ") + 1])
            for row, example in zip(found, examples, strict=True)
        ]

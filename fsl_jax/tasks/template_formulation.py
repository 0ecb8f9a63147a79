"""The formulation `template`: a language model is asked for the label word that follows a prompt.

Schick and Schütze, 2021, "Exploiting Cloze-Questions for Few-Shot Text Classification and Natural
Language Inference", https://arxiv.org/abs/2001.07676.

An encoder-decoder reads the prompt with its encoder, and its decoder is asked for its first word.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import ClassVar

import jax
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks.formulation import Batch
from fsl_jax.tasks.label_words import LabelWords, score_words, words_trunk
from fsl_jax.tasks.prompts import fit_prompt
from fsl_jax.tasks.suffix import read_up_to_suffix
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.verbalizer import Verbalizer


@dataclasses.dataclass(frozen=True, eq=False)
class TemplateFormulation:
    """Classifies by the probability of label words after a prompt.

    Attributes:
      pretrained: a model with logits.
      labels: the C classes.
      template: how an example becomes a prompt.
      verbalizer: the words of each class.
      max_length: prompts take at most this many tokens, label words included; the model's own limit
        unless named.
      reserved_positions: how many positions of the model an adaptation takes beside a prompt.
    """

    pretrained: Pretrained
    labels: tuple[str, ...]
    template: Template
    verbalizer: Verbalizer
    max_length: int | None = None
    reserved_positions: int = 0
    name: ClassVar[str] = "template"

    def __post_init__(self):
        if not self.pretrained.is_language_model:
            raise InputError(
                f"{self.pretrained.name} has no language model's logits, which a template needs: "
                "use the formulation head, or a decoder such as smollm2-135m"
            )

    @functools.cached_property
    def words(self) -> LabelWords:
        """The label words as this model's tokens."""
        before = None if self._decoder_has_words else self.template.render("text")
        tokens = self.verbalizer.tokens(self.pretrained.tokenizer, before)
        return LabelWords.from_tokens(tokens, self.verbalizer.owners())

    @property
    def limit(self) -> int:
        """How many tokens a prompt may take, leaving room for the label words."""
        most = self.pretrained.config.max_length - self.reserved_positions
        if self._decoder_has_words:
            return min(self.max_length or most, most)
        # The columns of all words stand behind a prompt, though their positions are shared.
        return min((self.max_length or most) - self.words.longest, most - self.words.inputs.size)

    @property
    def longest(self) -> int:
        """How many tokens a prompt may take together with the label words behind it."""
        return self.limit + (0 if self._decoder_has_words else self.words.longest)

    @property
    def _decoder_has_words(self) -> bool:
        """Whether label words are the decoder's and the prompt the encoder's."""
        return self.pretrained.config.is_encoder_decoder

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Adds nothing: the model's own unembedding scores the label words."""
        return params

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "B T D"]:
        """The activations below `top_layers`."""
        ids, mask = batch["input_ids"], batch["attention_mask"]
        return words_trunk(self.pretrained, params, self.words, ids, mask)

    def tokenize(
        self, examples: Sequence[Example], context: str = ""
    ) -> tuple[list[list[int]], int]:
        """The prompts of examples as tokens; where one is too long, its text is cut and counted.

        Args:
          examples: E examples.
          context: what stands before each prompt.

        Returns:
          E lists of token ids, and in how many of them the text was cut.
        """
        fitted = [
            fit_prompt(self.pretrained.tokenizer, self.template, example.text, self.limit, context)
            for example in examples
        ]
        return [ids for ids, _ in fitted], sum(cut for _, cut in fitted)

    def logits(
        self,
        params: Params,
        batch: Batch,
        *,
        prefix: KeyValues | None = None,
        dropout: float = 0.0,
        key: jax.Array | None = None,
    ) -> Float[Array, "B C"]:
        """The class logits of a batch: log-probabilities of label words up to a constant.

        Args:
          params: the model's parameters.
          batch: tokens, perhaps with what is kept of them.
          prefix: keys and values of what stands before every prompt of the batch.
          dropout: rate inside the model.
          key: a threefry key, needed where the rate is above 0.

        Returns:
          float32 logits.
        """
        ahead = read_up_to_suffix(self.pretrained, params, batch, prefix, dropout=dropout, key=key)
        return score_words(
            self.pretrained,
            params,
            self.words,
            ahead.input_ids,
            ahead.attention_mask,
            prefix=ahead.prefix,
            trunk=batch.get("trunk"),
            dropout=dropout,
            key=key,
        )

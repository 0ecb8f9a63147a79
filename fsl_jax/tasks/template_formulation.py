"""The formulation `template`: a language model predicts the label word that follows a prompt.

Schick and Schütze, 2021, "Exploiting Cloze-Questions for Few-Shot Text Classification and Natural
Language Inference", https://arxiv.org/abs/2001.07676.

An encoder-decoder reads the prompt with its encoder, and its decoder predicts the label word.
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
from fsl_jax.tasks.label_words import LabelWords
from fsl_jax.tasks.prompts import fit_prompt
from fsl_jax.tasks.suffix import model_inputs
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.verbalizer import Verbalizer
from fsl_jax.tasks.word_scores import score_words, words_trunk


@dataclasses.dataclass(frozen=True, eq=False)
class TemplateFormulation:
    """Classifies with the probability of label words after a prompt.

    Attributes:
      pretrained: a model with logits.
      labels: the C classes.
      template: turns an example into a prompt.
      verbalizer: the label words of each class.
      max_length: prompts take at most this many tokens, label words included; by default the limit
        of the model.
      reserved_positions: the number of the model's positions that an adaptation takes.
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
        """The label words as tokens of this model."""
        prompt = None if self._decoder_has_words else self.template.render("text")
        tokens = self.verbalizer.tokens(self.pretrained.tokenizer, prompt)
        return LabelWords.from_tokens(tokens, self.verbalizer.class_indices())

    @property
    def limit(self) -> int:
        """The largest number of tokens of a prompt, which leaves room for the label words."""
        most = self.pretrained.config.max_length - self.reserved_positions
        if self._decoder_has_words:
            return min(self.max_length or most, most)
        # All words are appended to a prompt side by side: each has its own tokens, but they share
        # positions.
        positions = (self.max_length or most) - self.words.extra_positions
        return min(positions, most - self.words.inputs.size)

    @property
    def limit_with_words(self) -> int:
        """The largest number of tokens of a prompt and a label word together."""
        return self.limit + (0 if self._decoder_has_words else self.words.extra_positions)

    @property
    def _decoder_has_words(self) -> bool:
        """True if the encoder reads the prompt and the decoder reads the label words."""
        return self.pretrained.config.is_encoder_decoder

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add nothing: the unembedding of the model scores the label words."""
        return params

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "B T D"]:
        """Compute the activations below `top_layers`."""
        ids, mask = batch["input_ids"], batch["attention_mask"]
        return words_trunk(self.pretrained, params, self.words, ids, mask)

    def tokenize(
        self, examples: Sequence[Example], context: str = ""
    ) -> tuple[list[list[int]], int]:
        """Tokenise the prompts of examples; if one is too long, cut its text and count it.

        Args:
          examples: E examples.
          context: text before each prompt, such as demonstrations.

        Returns:
          E lists of token ids, and the number of texts that were cut.
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
        """Compute the class logits of a batch: log-probabilities of classes up to a constant.

        Args:
          params: the model's parameters.
          batch: tokens, and perhaps cached arrays.
          prefix: keys and values of the tokens before every prompt of the batch.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.

        Returns:
          float32 logits.
        """
        inputs = model_inputs(self.pretrained, params, batch, prefix, dropout=dropout, key=key)
        return score_words(
            self.pretrained,
            params,
            self.words,
            inputs.input_ids,
            inputs.attention_mask,
            prefix=inputs.prefix,
            trunk=batch.get("trunk"),
            dropout=dropout,
            key=key,
        )

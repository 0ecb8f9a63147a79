"""The formulation `template`: a language model predicts the label word that follows a prompt.

Schick and Schütze, 2021, "Exploiting Cloze-Questions for Few-Shot Text Classification and Natural
Language Inference", https://arxiv.org/abs/2001.07676.

An encoder-decoder reads the prompt with its encoder, and its decoder predicts the label word.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.formulations.base import BaseFormulation
from fsl_jax.formulations.label_words import LabelWords
from fsl_jax.formulations.labels import label_indices, most_probable
from fsl_jax.formulations.objectives.classification import ClassificationObjective
from fsl_jax.formulations.prompts import fit_prompt
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.formulations.verbalizer import Verbalizer
from fsl_jax.formulations.word_scores import score_words, words_trunk
from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import prompt_tokens
from fsl_jax.packing.batch import Batch


@dataclasses.dataclass(frozen=True, eq=False)
class TemplateFormulation(BaseFormulation):
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
    described_as: ClassVar[Mapping[str, Any]] = {
        "template": str,
        "verbalizer": dict[str, list[str]],
    }

    def __post_init__(self):
        if not self.pretrained.is_language_model:
            raise InputError(
                f"{self.pretrained.name} has no language model's logits, which a template needs: "
                "use the formulation head, or a decoder such as smollm2-135m"
            )

    @functools.cached_property
    def words(self) -> LabelWords:
        """The label words as tokens of this model."""
        parts = dict.fromkeys(self.template.fields, "text")
        prompt = None if self._decoder_has_words else self.template.render(parts)
        tokens = self.verbalizer.tokens(self.pretrained.tokenizer, prompt)
        words = [word for label_words in self.verbalizer.words for word in label_words]
        self.require_rows(words, tokens)
        return LabelWords.from_tokens(tokens, self.verbalizer.class_indices())

    @property
    def limit(self) -> int:
        """The largest number of tokens of a prompt, which leaves room for the label words."""
        # All words are appended to a prompt side by side: each has its own tokens, but they share
        # positions. So the longest word counts, not their sum.
        after = 0 if self._decoder_has_words else self.words.extra_positions
        return self.limit_with_words - after

    @property
    def prompt_limit(self) -> int:
        """The same as `limit`."""
        return self.limit

    @property
    def limit_with_words(self) -> int:
        """The largest number of tokens of a prompt and a label word together."""
        return super().limit

    @property
    def _decoder_has_words(self) -> bool:
        """True if the encoder reads the prompt and the decoder reads the label words."""
        return self.pretrained.config.is_encoder_decoder

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add nothing: the unembedding of the model scores the label words."""
        return params

    @property
    def objective(self) -> ClassificationObjective:
        """The cross-entropy of the class logits."""
        return ClassificationObjective()

    @property
    def initial_words(self) -> tuple[str, ...]:
        """The first word of each class, which is the label if there is no verbalizer."""
        return tuple(words[0] for words in self.verbalizer.words)

    def tokenize(
        self, examples: Sequence[Example], context: str = "", *, answered: bool = False
    ) -> Tokenized:
        """Tokenise the prompts of examples; if one is too long, cut its text and count it.

        Args:
          examples: E examples.
          context: text before each prompt, such as demonstrations.
          answered: not used, since the words of all classes are scored.

        Returns:
          A segment for each example.

        Raises:
          InputError: a prompt has a token that the model does not embed.
        """
        self._require_positions()
        tokenizer, limit = self.pretrained.tokenizer, self.limit
        continues = not self._decoder_has_words
        fitted = [
            fit_prompt(tokenizer, self.template, example.parts, limit, context, continues=continues)
            for example in examples
        ]
        tokens = [prompt.ids for prompt in fitted]
        self.require_rows([example.text for example in examples], tokens)
        return Tokenized(tokens, sum(prompt.is_cut for prompt in fitted))

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> np.ndarray:
        """Return the index of each example's class, int32 `[E]`."""
        return label_indices(examples, self.labels)

    def segments(
        self, params: Params, tokens: Sequence[Sequence[int]], *, after_prefix: bool = False
    ) -> list[list[int]]:
        """Add the vectors of a soft prompt and the label words to prompts.

        Args:
          params: the parameters, of which only shapes are read.
          tokens: the token ids of each prompt.
          after_prefix: True if the prompts are read after the keys and values of a prefix, which
            include those of a soft prompt.

        Returns:
          All token ids. Those of label words are not among them if a decoder reads the words after
          a suffix, or if an encoder-decoder does.
        """
        before = [] if after_prefix else prompt_token_ids(params).tolist()
        apart = self._decoder_has_words or suffix_length(params) > 0
        after = [] if apart else self.words.inputs.tolist()
        return [[*before, *ids, *after] for ids in tokens]

    def slot_width(self, params: Params) -> int:
        """Return the number of tokens that are read apart from each prompt.

        These are a suffix with the words after it, or those of an encoder-decoder's decoder.
        """
        before_words = 1 if self._decoder_has_words else suffix_length(params)
        return before_words + self.words.inputs.size if before_words else 0

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "R T D"]:
        """Compute the activations below `top_layers`."""
        return words_trunk(self.pretrained, params, self.words, batch)

    def prompt_text(self, example: Example) -> str:
        """Return the whole prompt of an example, whose answer is not read."""
        return self.template.render(example.parts)

    def demonstration(self, example: Example) -> str:
        """Return the prompt of an example, followed by the first label word of its answer."""
        words = self.verbalizer.words[self.labels.index(example.answer)]
        return self.prompt_text(example) + words[0]

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Count the tokens of whole prompts, without cutting any."""
        continues = not self._decoder_has_words
        tokens = prompt_tokens(self.pretrained.tokenizer, prompts, continues=continues)
        return list(map(len, tokens))

    def _require_positions(self) -> None:
        """Raise an error if the label words leave no position for a prompt."""
        most = self.pretrained.config.max_length
        # In an encoder-decoder, the words come after the decoder's start token.
        needed = self.words.extra_positions + 1
        free = most if self._decoder_has_words else self.limit + self.words.extra_positions
        if needed <= free:
            return
        reserved = f", of which the methods take {self.reserved_positions}"
        raise InputError(
            f"the longest label word needs {needed - 1} positions after a prompt of at least 1, "
            f"and there are {max(free, 0)} for both ({self.pretrained.name} has {most}"
            f"{reserved * bool(self.reserved_positions)}, and max_length is "
            f"{self.max_length or 'not given'}): choose shorter label words"
        )

    def outputs(
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
          batch: packed prompts, and perhaps cached arrays.
          prefix: keys and values of the tokens before every prompt of the batch.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.

        Returns:
          float32 logits.
        """
        options: dict[str, Any] = {"prefix": prefix, "dropout": dropout, "key": key}
        return score_words(self.pretrained, params, self.words, batch, **options)

    def decode(
        self, outputs: np.ndarray, examples: Sequence[Example], tokenized: Tokenized
    ) -> list[str]:
        """Return the most probable class of each example."""
        return most_probable(outputs, self.labels)

    def describe(self) -> dict[str, Any]:
        """Return the name, the labels, the limit, the template and the label words."""
        words = dict(zip(self.labels, map(list, self.verbalizer.words), strict=True))
        return super().describe() | {
            "max_length": self.limit_with_words,
            "template": self.template.text,
            "verbalizer": words,
        }

    @classmethod
    def restore(cls, pretrained: Pretrained, values: Mapping[str, Any]) -> BaseFormulation:
        """Make the formulation again; see `BaseFormulation.restore`."""
        template = Template(values["template"])
        words = Verbalizer.from_mapping(values["labels"], values["verbalizer"])
        return super().restore(pretrained, {**values, "template": template, "verbalizer": words})

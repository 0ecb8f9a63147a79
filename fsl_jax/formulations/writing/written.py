"""The formulation `written`: a language model writes the answer to a prompt.

A decoder reads the prompt and the answer in one segment. An encoder-decoder reads the prompt with
its encoder, and its decoder writes the answer. Only the tokens of the answer have a loss.

Where a prompt ends in words, such as `Topic:`, a space stands before the answer. Where it ends in a
field, the answer begins on a new line. Both are for a decoder; an encoder-decoder needs neither.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.formulations.base import BaseFormulation
from fsl_jax.formulations.objectives.token_losses import token_losses
from fsl_jax.formulations.objectives.written import AnswerLosses, WrittenObjective, sum_by_example
from fsl_jax.formulations.prompts import Prompt, fit_prompt
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.formulations.writing.answer_checks import require_no_stop, require_short
from fsl_jax.formulations.writing.answer_states import ANSWER, answer_states
from fsl_jax.formulations.writing.answer_tokens import (
    answer_array,
    end_token,
    tokens_after,
    tokens_alone,
)
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import prompt_tokens
from fsl_jax.packing.batch import Batch
from fsl_jax.tasks.registry import find_task
from fsl_jax.tasks.task import Task


@dataclasses.dataclass(frozen=True, eq=False)
class WrittenFormulation(BaseFormulation):
    """Asks for an answer as text.

    Attributes:
      pretrained: a language model.
      task: writes answers as texts, and reads them.
      template: turns an example into a prompt.
      labels: the labels of the data set, among which the task reads an answer; may be empty.
      max_length: the largest number of tokens of a prompt, for a decoder together with its answer;
        by default the limit of the model.
      max_answer: the largest number of tokens of an answer, with the one that ends it.
      stop: strings that end a generated answer, so that an untrained model writes no further; none
        where answers have several lines.
      reserved_positions: the number of the model's positions that an adaptation takes.
    """

    pretrained: Pretrained
    task: Task
    template: Template
    labels: tuple[str, ...] = ()
    max_length: int | None = None
    max_answer: int = 64
    stop: tuple[str, ...] = ("\n",)
    reserved_positions: int = 0
    name: ClassVar[str] = "written"
    described_as: ClassVar[Mapping[str, Any]] = {"task": str, "template": str}

    def __post_init__(self):
        if not self.pretrained.is_language_model:
            raise InputError(
                f"{self.pretrained.name} has no language model's logits, so it cannot write "
                "answers: use a formulation with a head, or a decoder such as smollm2-135m"
            )
        # An encoder-decoder's decoder reads its start token first.
        free = self.free_positions - 1 if self._has_encoder else self.limit - 1
        if not 0 < self.max_answer <= free:
            given = "a prompt with its answer takes at most"
            raise InputError(
                f"max_answer is {self.max_answer}; expected 1 to {max(free, 1)}, since "
                f"{self.pretrained.name} has {self.pretrained.config.max_length} positions, of "
                f"which the methods take {self.reserved_positions}"
                + (f", and {given} {self.max_length} tokens" if self.max_length else "")
            )

    @functools.cached_property
    def end(self) -> int:
        """The token that ends each answer."""
        return end_token(self.pretrained)

    @property
    def objective(self) -> WrittenObjective:
        """The cross-entropy of the tokens of answers."""
        return WrittenObjective()

    @property
    def prompt_limit(self) -> int:
        """The largest number of tokens of a prompt."""
        return self.limit - (0 if self._has_encoder else self.max_answer)

    @property
    def _has_encoder(self) -> bool:
        return self.pretrained.config.is_encoder_decoder

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add nothing: the unembedding of the model gives the probabilities of tokens."""
        return params

    def prompts(self, examples: Sequence[Example], context: str = "") -> list[Prompt]:
        """Make prompts, and cut the longest field of those that are too long.

        Args:
          examples: E examples, whose answers are not read.
          context: text before each prompt, such as demonstrations; it is never cut.

        Returns:
          The prompts, which leave room for an answer.

        Raises:
          InputError: an example lacks a field of the template, leaves no room for its text, or has
            a token that the model does not embed.
        """
        fit = functools.partial(
            fit_prompt,
            self.pretrained.tokenizer,
            self.template,
            limit=self.prompt_limit,
            context=context,
            after=self._new_line,
            continues=not self._has_encoder,
        )
        prompts = [fit(example.parts) for example in examples]
        self.require_rows([prompt.text for prompt in prompts], [prompt.ids for prompt in prompts])
        return prompts

    def prompt_text(self, example: Example) -> str:
        """Return the whole prompt of an example, whose answer is not read."""
        return self.template.render(example.parts) + self._new_line

    def demonstration(self, example: Example) -> str:
        """Return the prompt of an example with its answer, as a text that a model reads."""
        text = self.task.written(example)
        space = " " if text else ""
        gap = "\n" if self.template.ends_in_field else space
        return self.template.render(example.parts) + gap + text

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Count the tokens of whole prompts, without cutting any."""
        tokenizer = self.pretrained.tokenizer
        return list(map(len, prompt_tokens(tokenizer, prompts, continues=not self._has_encoder)))

    def written(self, example: Example) -> str:
        """Return the text of an example's answer as it follows the prompt."""
        text = self.task.written(example)
        return self._space + text if text else ""

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Turn examples into prompts, and answers into tokens.

        Args:
          examples: E examples.
          answered: True to train on them: only then are their answers read.

        Returns:
          A segment for each example, for a decoder with its answer, and the feature `ANSWER`.

        Raises:
          InputError: as in `prompts`; or an answer is longer than `max_answer`, or holds a string
            that ends answers.
        """
        prompts = self.prompts(examples)
        truncated = sum(prompt.is_cut for prompt in prompts)
        if not answered:
            features = {ANSWER: answer_array([()] * len(examples))}
            return Tokenized([prompt.ids for prompt in prompts], truncated, features=features)
        texts = list(map(self.written, examples))
        require_no_stop(texts, self.stop)
        pairs = [self._tokens(*each) for each in zip(prompts, texts, strict=True)]
        answers = [answer for _, answer in pairs]
        require_short(texts, answers, self.max_answer)
        self.require_rows(texts, answers)
        tokens = [before if self._has_encoder else [*before, *answer] for before, answer in pairs]
        return Tokenized(tokens, truncated, features={ANSWER: answer_array(answers)})

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> None:
        """Return nothing: the tokens of answers are a feature."""

    def slot_width(self, params: Params) -> int:
        """Return the number of tokens that are read apart from each prompt.

        These are a suffix with the answer after it, or an encoder-decoder's answer.
        """
        suffix = suffix_length(params)
        return suffix + self.max_answer if suffix or self._has_encoder else 0

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> AnswerLosses:
        """Compute the losses of answers.

        Args:
          params: the model's parameters.
          batch: packed prompts with answers, and perhaps cached arrays.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.

        Returns:
          The losses of S segments; 0 of 0 tokens for one without an answer.
        """
        found = answer_states(self.pretrained, params, batch, dropout=dropout, key=key)
        unembed = functools.partial(self.pretrained.unembed, params)
        losses = token_losses(found.hidden, found.targets, unembed)
        return sum_by_example(losses, found.owner, len(batch.starts))

    def decode(
        self, outputs: Sequence[str], examples: Sequence[Example], tokenized: Tokenized
    ) -> list[Any]:
        """Read the answers that texts give.

        Args:
          outputs: the text that a model wrote for each example.
          examples: E examples, whose answers are not read.
          tokenized: not used.

        Returns:
          The answer to each example, None where its text gives none.
        """
        del tokenized
        return [
            self.task.parse(text.removeprefix(self._space), example, self.labels)
            for text, example in zip(outputs, examples, strict=True)
        ]

    def describe(self) -> dict[str, Any]:
        """Return the name, the task, the template, the labels and the limits."""
        return super().describe() | {"task": self.task.name, "template": self.template.text}

    @classmethod
    def restore(cls, pretrained: Pretrained, values: Mapping[str, Any]) -> BaseFormulation:
        """Make the formulation again; see `BaseFormulation.restore`."""
        task, template = find_task(values["task"]), Template(values["template"])
        return super().restore(pretrained, {**values, "task": task, "template": template})

    @property
    def _space(self) -> str:
        """The space before an answer that follows its prompt on the same line."""
        return "" if self._has_encoder or self._on_new_line else " "

    @property
    def _new_line(self) -> str:
        """The new line with which a prompt ends, if its answer stands on one of its own."""
        return "\n" if self._on_new_line else ""

    @property
    def _on_new_line(self) -> bool:
        """True if a new line stands between a prompt and its answer."""
        return self.template.ends_in_field and not self._has_encoder

    def _tokens(self, prompt: Prompt, answer: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a prompt and those of its answer, with the one that ends it."""
        if self._has_encoder:
            return prompt.ids, [*tokens_alone(self.pretrained.tokenizer, answer), self.end]
        before, after = tokens_after(self.pretrained.tokenizer, prompt.text, prompt.ids, answer)
        return before, [*after, self.end]

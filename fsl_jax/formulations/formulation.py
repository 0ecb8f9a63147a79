"""The protocol of formulations, which say how a model is asked for an answer."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.formulations.objectives.objective import Objective
from fsl_jax.formulations.prompts import Prompt
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch


@runtime_checkable
class Formulation(Protocol):
    """Says how a model is asked for an answer: tokens in, outputs, and an answer out of them.

    Attributes:
      name: its name in flags and results.
      pretrained: the model that reads the tokens.
      objective: what the outputs mean.
      labels: the labels that answers have, such as classes or types of entities; empty if answers
        are open.
      initial_words: words with which a soft prompt may begin, such as the labels; may be empty.
    """

    name: ClassVar[str]

    @property
    def pretrained(self) -> Pretrained:
        """See the class."""
        ...

    @property
    def objective(self) -> Objective:
        """See the class."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """See the class."""
        ...

    @property
    def initial_words(self) -> tuple[str, ...]:
        """See the class."""
        ...

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add the parameters of the formulation, such as a head, to those of the model."""
        ...

    @property
    def limit(self) -> int:
        """The largest number of tokens of an example, without those that `segments` adds."""
        ...

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Turn examples into segments.

        Args:
          examples: E examples.
          answered: True to train on them: only then may their answers be read.
        """
        ...

    def targets(self, examples: Sequence[Example], tokenized: Tokenized) -> Any:
        """Return the answers as an array `[E, ...]` or a tree of such, as the objective reads them.

        Args:
          examples: E examples.
          tokenized: the examples as tokens.
        """
        ...

    def segments(self, params: Params, tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        """Return all tokens that the model reads of each segment, for a pool.

        Args:
          params: the parameters, of which only shapes are read.
          tokens: the token ids of each segment, from `tokenize`.

        Returns:
          The token ids with those of a soft prompt before them, and others that the formulation
          needs.
        """
        ...

    def slot_width(self, params: Params) -> int:
        """Return the number of tokens of a slot, which rows have for each segment; 0 for none.

        Args:
          params: the parameters, of which only shapes are read.
        """
        ...

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "R T D"]:
        """Compute the activations below `top_layers`, which a batch may have as `trunk`."""
        ...

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Any:
        """Compute the outputs for a batch, `[S, ...]`, as the objective reads them.

        Args:
          params: the parameters.
          batch: packed rows, and perhaps cached arrays.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.
        """
        ...

    def decode(
        self, outputs: Any, examples: Sequence[Example], tokenized: Tokenized
    ) -> Sequence[Any]:
        """Return the answers that outputs give, on the host.

        Args:
          outputs: the outputs for all segments, as NumPy arrays `[S, ...]`.
          examples: E examples, whose answers are not read.
          tokenized: the examples as tokens.

        Returns:
          An answer to each example, in the form of its task; None where there is none.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return JSON values from which `restore` makes the formulation again, with its `name`."""
        ...


@runtime_checkable
class PromptFormulation(Formulation, Protocol):
    """A formulation that asks by a text, before which demonstrations may stand.

    Attributes:
      prompt_limit: the largest number of tokens of a prompt with its demonstrations.
    """

    @property
    def prompt_limit(self) -> int:
        """See the class."""
        ...

    def prompt_text(self, example: Example) -> str:
        """Return the whole prompt of an example, whose answer is not read."""
        ...

    def demonstration(self, example: Example) -> str:
        """Return the prompt of an example with its answer."""
        ...

    def count_tokens(self, prompts: Sequence[str]) -> list[int]:
        """Count the tokens of whole prompts, without cutting any."""
        ...


@runtime_checkable
class WritingFormulation(PromptFormulation, Protocol):
    """A formulation whose answers a model writes, token by token.

    Its outputs are the losses of given answers. `decode` takes the texts that a model wrote, one
    for each example, in place of outputs.

    Attributes:
      max_answer: the largest number of tokens of an answer, with the one that ends it.
      stop: strings that end an answer too.
    """

    @property
    def max_answer(self) -> int:
        """See the class."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """See the class."""
        ...

    def prompts(self, examples: Sequence[Example], context: str = "") -> list[Prompt]:
        """Return the prompts that a model continues.

        Args:
          examples: E examples, whose answers are not read.
          context: text before each prompt, such as demonstrations.
        """
        ...

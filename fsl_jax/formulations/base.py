"""The base class of formulations, which read packed texts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.formulations.description import field_values
from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.input_checks import require_rows
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch


class BaseFormulation:
    """The base class of formulations, whose protocol is `Formulation`.

    Subclasses are dataclasses, and are described by their fields.

    Attributes:
      described_as: the annotations of fields as JSON values, where these are not the fields' own. A
        class that has such fields overrides `describe` and `restore`.
      pretrained: the model.
      labels: the labels that answers have; empty if answers are open.
      max_length: the largest number of tokens of an example; by default the limit of the model.
      reserved_positions: the number of the model's positions that an adaptation takes.
    """

    name: ClassVar[str]
    described_as: ClassVar[Mapping[str, Any]] = {}
    pretrained: Pretrained
    labels: tuple[str, ...]
    max_length: int | None
    reserved_positions: int

    @property
    def initial_words(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    @property
    def free_positions(self) -> int:
        """The number of the model's positions that no adaptation takes."""
        return self.pretrained.config.max_length - self.reserved_positions

    @property
    def limit(self) -> int:
        """The largest number of tokens of an example."""
        return min(self.max_length or self.free_positions, self.free_positions)

    def require_rows(self, texts: Iterable[str], tokens: Sequence[Sequence[int]]) -> None:
        """Raise an error for texts with a token that has no row in the word embedding.

        Args:
          texts: the texts.
          tokens: the token ids of each.

        Raises:
          InputError: there are such texts; the error names the tokens.
        """
        pretrained = self.pretrained
        rows = pretrained.config.vocab_size
        require_rows(pretrained.name, pretrained.tokenizer, rows, texts, tokens)

    def segments(self, params: Params, tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        """Add the vectors of a soft prompt before texts.

        Args:
          params: the parameters, of which only shapes are read.
          tokens: the token ids of each text.

        Returns:
          All token ids.
        """
        before = prompt_token_ids(params).tolist()
        return [[*before, *ids] for ids in tokens]

    def slot_width(self, params: Params) -> int:
        """Return the number of tokens that follow each text: those of a suffix."""
        return suffix_length(params)

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "R T D"]:
        """Compute the activations below `top_layers`."""
        ids = batch.segment_ids
        return self.pretrained.trunk(params, batch.input_ids, ids > 0, segment_ids=ids)

    def describe(self) -> dict[str, Any]:
        """Return the name, the fields that describe the formulation, and the limit."""
        return {"name": self.name, **field_values(self), "max_length": self.limit}

    @classmethod
    def restore(cls, pretrained: Pretrained, values: Mapping[str, Any]) -> "BaseFormulation":
        """Make the formulation again.

        Args:
          pretrained: the model.
          values: the values that `describe` returned, checked by `description_class`.

        Returns:
          The formulation.
        """
        make: Callable[..., BaseFormulation] = cls
        return make(pretrained, **values)

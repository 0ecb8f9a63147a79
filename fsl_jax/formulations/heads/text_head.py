"""The base class of formulations that apply a linear layer to hidden states of a text.

In an encoder-decoder the decoder reads the text too, shifted by one token, as in Hugging Face's
classifiers, and its hidden states are used. If the model was loaded without its decoder, those of
the encoder are.
"""

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.formulations.base import BaseFormulation
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.heads import decoder_options
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch

LEAST_TOKENS = 3
"""The fewest tokens that a text needs: one of its own between two special ones."""

INITIAL_SCALE = 0.02
"""The standard deviation of a new head's kernel, as in BERT."""


@dataclasses.dataclass(frozen=True, eq=False)
class TextHead(BaseFormulation, abc.ABC):
    """The base class of formulations with a linear layer on hidden states.

    Attributes:
      pretrained: the model.
      max_length: texts are cut to this many tokens, including special tokens; by default the limit
        of the model.
      reserved_positions: the number of the model's positions that an adaptation takes.
    """

    pretrained: Pretrained
    max_length: int | None = dataclasses.field(default=None, kw_only=True)
    reserved_positions: int = dataclasses.field(default=0, kw_only=True)

    def __post_init__(self):
        if self.limit < LEAST_TOKENS:
            raise InputError(
                f"of the {self.pretrained.config.max_length} positions of {self.pretrained.name}, "
                f"a method takes {self.reserved_positions}, which leaves {self.limit} for a text: "
                "choose a shorter prompt or prefix"
            )

    @property
    @abc.abstractmethod
    def outputs_size(self) -> int:
        """C, the number of outputs of the linear layer."""

    @property
    def states_read(self) -> int:
        """The number of hidden states that the linear layer reads at once."""
        return 1

    @abc.abstractmethod
    def representation(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "S ..."]:
        """Compute what the linear layer reads, in float32, with its width on the last axis."""

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add `head/kernel`, drawn from a normal distribution, and `head/bias [C]`."""
        width = self.states_read * self.pretrained.config.hidden_size
        shape = (width, self.outputs_size)
        kernel = INITIAL_SCALE * jax.random.normal(key, shape, jnp.float32)
        return params | {"head": {"kernel": kernel, "bias": jnp.zeros(shape[1:], jnp.float32)}}

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Any:
        """Compute the outputs of the linear layer for a batch.

        Args:
          params: the model's parameters with `head`.
          batch: packed texts, and perhaps cached arrays.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.

        Returns:
          float32, with C on the last axis.
        """
        states = batch.cached.get("representation")
        if states is None:
            states = self.representation(params, batch, dropout=dropout, key=key)
        outputs: Array = jnp.dot(states, params["head"]["kernel"])
        return outputs + jnp.expand_dims(params["head"]["bias"], range(outputs.ndim - 1))

    def hidden(
        self, params: Params, batch: Batch, options: dict[str, Any]
    ) -> Float[Array, "R T D"]:
        """Return the hidden states of packed texts, of the decoder if there are two stacks.

        Args:
          params: the model's parameters.
          batch: packed texts, and perhaps cached arrays.
          options: `dropout` and `key`.
        """
        return self.pretrained.apply(
            params,
            batch.input_ids,
            batch.segment_ids > 0,
            segment_ids=batch.segment_ids,
            trunk=batch.cached.get("trunk"),
            unembed=False,
            **self._decoder_inputs(batch),
            **options,
        ).hidden

    def _decoder_inputs(self, batch: Batch) -> dict[str, Any]:
        """Return the inputs of an encoder-decoder's decoder, as options of `apply`.

        Empty if the model has no decoder, or if it makes these inputs itself.
        """
        if not (self.pretrained.config.is_encoder_decoder and self.pretrained.is_language_model):
            return {}
        ids, mask = batch.segment_ids, batch.segment_ids > 0
        config = self.pretrained.config
        return decoder_options(config, SEQUENCE_CLASSIFICATION, batch.input_ids, mask, ids)

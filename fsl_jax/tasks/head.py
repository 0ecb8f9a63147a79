"""The formulation `head`: a linear layer on a pooled representation of the text.

In an encoder-decoder the decoder reads the text too, shifted by one token, as in Hugging Face's
classifiers, and its hidden states are pooled. If the model was loaded without its decoder, the
encoder's hidden states are pooled.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.blocks.heads import decoder_options
from fsl_jax.models.blocks.pooling import POOLINGS
from fsl_jax.models.input_checks import require_rows
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import tokenize
from fsl_jax.tasks.formulation import Batch
from fsl_jax.tasks.suffix import ModelInputs, model_inputs

LEAST_TOKENS = 3
"""The fewest tokens that a text needs: one of its own between two special ones."""

INITIAL_SCALE = 0.02
"""The standard deviation of a new head's kernel, as in BERT."""


@dataclasses.dataclass(frozen=True, eq=False)
class HeadFormulation:
    """Classifies with a linear layer on the pooled hidden states.

    Attributes:
      pretrained: the model.
      labels: the C classes.
      pooling: one of `POOLINGS`. The default is the last token for a decoder's hidden states, and
        the mean for an encoder's.
      max_length: texts are cut to this many tokens, including special tokens; by default the limit
        of the model.
      reserved_positions: the number of the model's positions that an adaptation takes.
    """

    pretrained: Pretrained
    labels: tuple[str, ...]
    pooling: str = ""
    max_length: int | None = None
    reserved_positions: int = 0
    name: ClassVar[str] = "head"

    def __post_init__(self):
        default = "last" if self.pretrained.decodes else "mean"
        object.__setattr__(self, "pooling", self.pooling or default)
        if self.pooling not in POOLINGS:
            raise unknown_name("pooling", self.pooling, POOLINGS)
        tokenizer = self.pretrained.tokenizer
        if self.pooling == "cls" and tokenizer.cls_token is None:
            raise InputError(
                f"the pooling cls takes the first token of a text, and the tokenizer of "
                f"{self.pretrained.name} has no cls_token. Pool by mean or last."
            )
        if self.limit < LEAST_TOKENS:
            raise InputError(
                f"of the {self.pretrained.config.max_length} positions of {self.pretrained.name}, "
                f"a method takes {self.reserved_positions}, which leaves {self.limit} for a text: "
                "choose a shorter prompt or prefix"
            )

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Add `head/kernel [D, C]`, drawn from a normal distribution, and `head/bias [C]`."""
        shape = (self.pretrained.config.hidden_size, len(self.labels))
        kernel = INITIAL_SCALE * jax.random.normal(key, shape, jnp.float32)
        return params | {"head": {"kernel": kernel, "bias": jnp.zeros(shape[1:], jnp.float32)}}

    @property
    def limit(self) -> int:
        """The largest number of tokens of a text."""
        most = self.pretrained.config.max_length - self.reserved_positions
        return min(self.max_length or most, most)

    def tokenize(self, examples: Sequence[Example]) -> tuple[list[list[int]], int]:
        """Tokenise texts; cut those longer than the limit at their end, and count them.

        Args:
          examples: E examples.

        Returns:
          E lists of token ids, and the number of texts that were cut.

        Raises:
          InputError: a text has a token that the model does not embed.
        """
        texts = [example.text for example in examples]
        tokenizer, rows = self.pretrained.tokenizer, self.pretrained.config.vocab_size
        tokens = tokenize(tokenizer, texts, verbose=False)["input_ids"]
        too_long = sum(len(ids) > self.limit for ids in tokens)
        if too_long:
            options = {"truncation": True, "max_length": self.limit}
            tokens = tokenize(tokenizer, texts, **options)["input_ids"]
        require_rows(self.pretrained.name, tokenizer, rows, texts, tokens)
        return tokens, too_long

    def trunk(self, params: Params, batch: Batch) -> Float[Array, "B T D"]:
        """Compute the activations below `top_layers`."""
        return self.pretrained.trunk(params, batch["input_ids"], batch["attention_mask"])

    def representation(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B D"]:
        """Compute the pooled hidden states of a batch in float32, the input of the head.

        If a soft prompt follows the text, its hidden states are pooled, since they attend to the
        whole text.
        """
        inputs = model_inputs(self.pretrained, params, batch, dropout=dropout, key=key)
        output = self.pretrained.apply(
            params,
            inputs.input_ids,
            inputs.attention_mask,
            prefix=inputs.prefix,
            trunk=batch.get("trunk"),
            dropout=dropout,
            key=key,
            unembed=False,
            **self._decoder_inputs(inputs),
        )
        hidden = output.hidden.astype(jnp.float32)
        return POOLINGS[self.pooling](hidden, inputs.attention_mask)

    def _decoder_inputs(self, inputs: ModelInputs) -> dict[str, Any]:
        """Return the inputs of an encoder-decoder's decoder, as options of `apply`.

        Empty if the model has no decoder, or if it makes these inputs itself.
        """
        if not (self.pretrained.config.is_encoder_decoder and self.pretrained.is_language_model):
            return {}
        config = self.pretrained.config
        return decoder_options(
            config, "sequence_classification", inputs.input_ids, inputs.attention_mask
        )

    def logits(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B C"]:
        """Compute the class logits of a batch.

        Args:
          params: the model's parameters with `head`.
          batch: tokens, and perhaps cached arrays.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.

        Returns:
          float32 logits.
        """
        pooled = batch.get("representation")
        if pooled is None:
            pooled = self.representation(params, batch, dropout=dropout, key=key)
        return pooled @ params["head"]["kernel"] + params["head"]["bias"][None, :]

"""The base class of formulations whose linear layer reads a pooled representation of texts."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.formulations.heads.text_head import TextHead
from fsl_jax.formulations.pairs import text_tokens
from fsl_jax.formulations.suffix import read_suffix
from fsl_jax.formulations.tokenized import Tokenized
from fsl_jax.models.blocks.pooling import POOLINGS
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.packing.batch import Batch


class PooledHead(TextHead):
    """The base class of formulations with a linear layer on the pooled hidden states of a text.

    An example of two parts is read as a pair, see `fsl_jax.formulations.pairs`; one of more parts
    has each on a line of its own.

    Attributes:
      pooling: one of `POOLINGS`, a field of each subclass. If it is empty, it is the last token for
        a decoder's hidden states, and the mean for an encoder's.
    """

    pooling: str

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
        super().__post_init__()

    def tokenize(self, examples: Sequence[Example], *, answered: bool = False) -> Tokenized:
        """Tokenise texts; cut those longer than the limit at their end, and count them.

        Of a pair, the longer text is cut.

        Args:
          examples: E examples.
          answered: not used, since answers are no tokens.

        Returns:
          A segment for each text, or pair of texts.

        Raises:
          InputError: a text has a token that the model does not embed.
        """
        tokens = text_tokens(self.pretrained, examples, verbose=False)
        too_long = sum(len(ids) > self.limit for ids in tokens)
        if too_long:
            options = {"truncation": True, "max_length": self.limit}
            tokens = text_tokens(self.pretrained, examples, **options)
        self.require_rows([example.text for example in examples], tokens)
        return Tokenized(tokens, too_long)

    def representation(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "S D"]:
        """Compute the pooled hidden states of each text in float32, the input of the head.

        A soft prompt before a text is left out. If one follows the text, its hidden states are
        pooled instead of the text's, since they attend to the whole text.
        """
        options: dict[str, Any] = {"dropout": dropout, "key": key}
        in_text = batch.members(before=prompt_length(params))
        if not suffix_length(params):
            return self._pool(self.hidden(params, batch, options), in_text)
        states = read_suffix(self.pretrained, params, batch, **options)
        pooled = jax.vmap(self._pool, (0, None))(states.slots, states.is_real[None])[:, 0]
        if states.text is None:
            return pooled
        return states.or_text(pooled, self._pool(states.text, in_text))

    def _pool(
        self, hidden: Float[Array, "*places D"], members: Bool[Array, "B P"]
    ) -> Float[Array, "B D"]:
        places = hidden.reshape(-1, hidden.shape[-1]).astype(jnp.float32)
        return POOLINGS[self.pooling](places, members)

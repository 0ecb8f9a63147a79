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
from jaxtyping import Array, Bool, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.heads import decoder_options
from fsl_jax.models.blocks.pooling import POOLINGS
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.blocks.prompt_tokens import prompt_token_ids
from fsl_jax.models.blocks.suffix_tokens import suffix_length
from fsl_jax.models.input_checks import require_rows
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.models.tokenizing import tokenize
from fsl_jax.packing.batch import Batch
from fsl_jax.tasks.suffix import read_suffix

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

    def representation(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B D"]:
        """Compute the pooled hidden states of each text in float32, the input of the head.

        A soft prompt before a text is left out. If one follows the text, its hidden states are
        pooled instead of the text's, since they attend to the whole text.
        """
        options: dict[str, Any] = {"dropout": dropout, "key": key}
        in_text = batch.members(before=prompt_length(params))
        if not suffix_length(params):
            return self._pool(self._hidden(params, batch, options), in_text)
        states = read_suffix(self.pretrained, params, batch, **options)
        pooled = jax.vmap(self._pool, (0, None))(states.slots, states.is_real[None])[:, 0]
        if states.text is None:
            return pooled
        return states.or_text(pooled, self._pool(states.text, in_text))

    def _hidden(
        self, params: Params, batch: Batch, options: dict[str, Any]
    ) -> Float[Array, "R T D"]:
        """Return the hidden states of packed texts, of the decoder if there are two."""
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

    def _pool(
        self, hidden: Float[Array, "*places D"], members: Bool[Array, "B P"]
    ) -> Float[Array, "B D"]:
        places = hidden.reshape(-1, hidden.shape[-1]).astype(jnp.float32)
        return POOLINGS[self.pooling](places, members)

    def _decoder_inputs(self, batch: Batch) -> dict[str, Any]:
        """Return the inputs of an encoder-decoder's decoder, as options of `apply`.

        Empty if the model has no decoder, or if it makes these inputs itself.
        """
        if not (self.pretrained.config.is_encoder_decoder and self.pretrained.is_language_model):
            return {}
        ids, mask = batch.segment_ids, batch.segment_ids > 0
        config = self.pretrained.config
        return decoder_options(config, SEQUENCE_CLASSIFICATION, batch.input_ids, mask, ids)

    def logits(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B C"]:
        """Compute the class logits of a batch.

        Args:
          params: the model's parameters with `head`.
          batch: packed texts, and perhaps cached arrays.
          dropout: the dropout rate inside the model.
          key: a threefry key, needed if the rate is above 0.

        Returns:
          float32 logits.
        """
        pooled = batch.cached.get("representation")
        if pooled is None:
            pooled = self.representation(params, batch, dropout=dropout, key=key)
        return pooled @ params["head"]["kernel"] + params["head"]["bias"][None, :]

"""Read a prompt with a model, and then one token at a time."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.blocks.pooling import last_token
from fsl_jax.models.blocks.prompt_positions import (
    decoder_prefix_length,
    prompt_length,
    reserved_positions,
)
from fsl_jax.models.blocks.row_params import AnyParams, RowParams, map_rows, one_tree
from fsl_jax.models.blocks.suffix_tokens import append_suffix, suffix_length
from fsl_jax.models.generation.shared_prefix import SharedPrefix, join, join_tokens
from fsl_jax.models.outputs import KeyValues, Params
from fsl_jax.models.pretrained import Pretrained

# The fields below are traced leaves of pytrees, so their annotations cannot be checked as shapes.


@struct.dataclass
class PromptOutput:
    """The model's output for `B` prompts.

    Attributes:
      logits: the logits of the first token after the prompt, float32 `[B, V]`.
      key_values: the keys and values of the decoder's tokens so far, `[L, B, T, H_kv, Dh]`.
      encoded: keys and values of an encoder's tokens, for cross-attention; None without an encoder.
      positions: the positions of the last token that the decoder has read, int32 `[B]`.
      decoder_ids: the tokens that the decoder has read, int32 `[B, T]`.
      decoder_mask: True where they are real, `[B, T]`.
    """

    logits: Any
    key_values: Any
    encoded: Any
    positions: Any
    decoder_ids: Any
    decoder_mask: Any


@dataclasses.dataclass(frozen=True)
class PromptReader:
    """A model without its weights, which reads prompts and then single tokens.

    Readers with equal modules are equal, so that they share compiled programs. With the parameters
    of rows, each row is read with its own parameters.

    Attributes:
      module: the Flax module, which decides whether readers are equal.
      pretrained: the model, with an empty parameter tree.
      max_length: the maximum number of tokens, without those that a method adds.
      max_decoder_length: the maximum number of tokens of an encoder-decoder's decoder.
    """

    module: nn.Module
    pretrained: Pretrained = dataclasses.field(compare=False)
    max_length: int = dataclasses.field(compare=False)
    max_decoder_length: int = dataclasses.field(compare=False)

    @classmethod
    def for_model(cls, pretrained: Pretrained, params: AnyParams | None = None) -> "PromptReader":
        """Make the reader of a model with `params`; by default the model's own parameters."""
        params = pretrained.params if params is None else one_tree(params)
        positions, module = pretrained.config.max_length, pretrained.module
        max_length = positions - reserved_positions(params) - suffix_length(params)
        max_decoder_length = positions - decoder_prefix_length(params)
        without_weights = dataclasses.replace(pretrained, params={})
        return cls(module, without_weights, max_length, max_decoder_length)

    @property
    def has_encoder(self) -> bool:
        """True if an encoder reads the prompt."""
        return getattr(self.pretrained.config, "is_encoder_decoder", False)

    @property
    def window(self) -> int | None:
        """The sliding window, including the token itself; None if a layer sees all tokens."""
        config: Any = self.pretrained.config
        sliding = getattr(config, "sliding", ())
        return config.window if sliding and all(sliding) else None

    def cache_window(self, params: AnyParams, prefix: SharedPrefix | None = None) -> int | None:
        """Return the window of a ring cache; None if the cache must hold all tokens.

        A ring keeps the last columns. With a soft prompt or a shared prefix there may be padding
        between it and the text, and a suffix that is shorter in some rows is padded too. Tokens
        that are close in position may then be far apart in columns, so there is no ring.

        Args:
          params: the parameter tree, or the parameters of rows.
          prefix: what was read before the prompts, if anything was.
        """
        tree = one_tree(params)
        apart = prefix is not None or prompt_length(tree) or suffix_length(tree)
        return None if apart else self.window

    def decoder_length(
        self,
        params: AnyParams,
        input_ids: Int[Array, "B T"],
        prefix: SharedPrefix | None = None,
    ) -> int:
        """Return the number of columns that the decoder has read after the prompts.

        Args:
          params: the parameter tree, or the parameters of rows.
          input_ids: the prompts, without the shared prefix.
          prefix: what was read before them, if anything was; it includes a soft prompt.
        """
        tree = one_tree(params)
        before = prompt_length(tree) if prefix is None else prefix.columns
        return 1 if self.has_encoder else before + input_ids.shape[1] + suffix_length(tree)

    def read_prefix(
        self, params: Params, ids: Int[Array, "1 P"], mask: Bool[Array, "1 P"]
    ) -> SharedPrefix:
        """Read the beginning that all prompts share, with a decoder.

        Args:
          params: the parameter tree.
          ids: int32 `[1, P]`, padded on the right.
          mask: True where a token is real, `[1, P]`.

        Returns:
          The beginning for `read`.
        """
        output = self.pretrained.apply(params, ids, mask, unembed=False)
        return SharedPrefix(ids, mask, output.key_values)

    def read(
        self,
        params: AnyParams,
        ids: Int[Array, "B T"],
        mask: Bool[Array, "B T"],
        prefix: SharedPrefix | None = None,
    ) -> PromptOutput:
        """Read prompts.

        Args:
          params: the parameter tree, or the parameters of the rows.
          ids: int32 `[B, T]`. A decoder's prompts must end in the last column; an encoder's may end
            in any.
          mask: True where a token is real, `[B, T]`.
          prefix: the beginning of all prompts, which `ids` then lack; for a decoder with one
            parameter tree.

        Returns:
          The model's output, in which the prefix is part of each prompt.
        """
        if isinstance(params, RowParams):
            row_output: PromptOutput = map_rows(self.read, params, ids, mask)
            return row_output
        if self.has_encoder:
            return self._encode(params, ids, mask)
        whole, real = append_suffix(params, ids, mask)
        before = None if prefix is None else prefix.key_values
        output = self.pretrained.apply(params, whole, real, prefix=before, unembed=False)
        logits = self.pretrained.unembed(params, last_token(output.hidden, real))
        read = output.key_values if before is None else join(before, output.key_values)
        # The vectors of a soft prompt have been read too.
        last = jnp.sum(read.mask, axis=1, dtype=jnp.int32) - 1
        return PromptOutput(logits, read, None, last, *join_tokens(prefix, ids, mask))

    def step(
        self,
        params: AnyParams,
        tokens: Int[Array, " B"],
        positions: Int[Array, " B"],
        cache: KeyValues,
        encoded: KeyValues | None,
    ) -> tuple[Float[Array, "B V"], KeyValues]:
        """Read one more token of each row.

        Args:
          params: the parameter tree, or the parameters of the prompts' rows; the same number of
            rows continues each prompt.
          tokens: int32 `[B]`.
          positions: the positions of these tokens, int32 `[B]`.
          cache: the cache of the decoder's earlier tokens.
          encoded: from `read`.

        Returns:
          The logits of the next token, `[B, V]`, and the keys and values of this one.
        """
        if isinstance(params, RowParams):
            row_output: tuple[Array, KeyValues] = map_rows(
                self.step, params, tokens, positions, cache, encoded
            )
            return row_output
        ids, mask = tokens[:, None], jnp.ones((len(tokens), 1), bool)
        options: dict[str, Any] = {"position_ids": positions[:, None], "prefix": cache}
        if encoded is None:
            output = self.pretrained.apply(params, ids, mask, **options)
        else:
            output = self.pretrained.decode(params, ids, mask, encoded, **options)
        return output.logits[:, 0], output.key_values

    def _encode(
        self, params: Params, ids: Int[Array, "B T"], mask: Bool[Array, "B T"]
    ) -> PromptOutput:
        """Encode prompts, and read the decoder's start token."""
        encoded = self.pretrained.encode(params, ids, mask)
        config: Any = self.pretrained.config
        start = jnp.full((len(ids), 1), config.decoder_start_token, jnp.int32)
        real = jnp.ones((len(ids), 1), bool)
        output = self.pretrained.decode(params, start, real, encoded)
        zeros = jnp.zeros(len(ids), jnp.int32)
        return PromptOutput(output.logits[:, 0], output.key_values, encoded, zeros, start, real)

"""How a model reads a prompt, and then one token after the other."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.blocks.after_tokens import append_suffix, suffix_length
from fsl_jax.models.blocks.before_tokens import decoder_prefix_length, length_before, prompt_length
from fsl_jax.models.blocks.pooling import last_token
from fsl_jax.models.blocks.row_params import AnyParams, RowParams, map_rows, one_tree
from fsl_jax.models.outputs import KeyValues, Params
from fsl_jax.models.pretrained import Pretrained

# ConfigReader of what has been read are leaves of trees, which are traced.


@struct.dataclass
class Read:
    """What there is once a prompt of `B` rows has been read.

    Attributes:
      logits: of the first token that follows, float32 `[B, V]`.
      key_values: of the decoder's tokens so far, `[L, B, T, H_kv, Dh]`.
      encoded: keys and values of an encoder's tokens, for cross-attention; None without an encoder.
      positions: of the last token that the decoder has read, int32 `[B]`.
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
class Reader:
    """A model without its weights; readers of equal modules are equal, so programs are found again.

    Where it is given the parameters of rows, each row is read with its own.

    Attributes:
      module: the Flax module, by which readers are compared.
      pretrained: the model that the module is of, with an empty parameter tree.
      longest: how many tokens there may be, beside what an adaptation puts around them.
      longest_written: how many of them an encoder-decoder's decoder may have.
    """

    module: nn.Module
    pretrained: Pretrained = dataclasses.field(compare=False)
    longest: int = dataclasses.field(compare=False)
    longest_written: int = dataclasses.field(compare=False)

    @classmethod
    def of(cls, pretrained: Pretrained, params: AnyParams | None = None) -> "Reader":
        """The reader of a model with its own parameters, or with others."""
        params = pretrained.params if params is None else one_tree(params)
        most, module = pretrained.config.max_length, pretrained.module
        longest = most - length_before(params) - suffix_length(params)
        written = most - decoder_prefix_length(params)
        return cls(module, dataclasses.replace(pretrained, params={}), longest, written)

    @property
    def has_encoder(self) -> bool:
        """Whether an encoder reads the prompt."""
        return getattr(self.pretrained.config, "is_encoder_decoder", False)

    @property
    def window(self) -> int | None:
        """How far back any layer looks, its own token among them; None where one sees all."""
        config: Any = self.pretrained.config
        sliding = getattr(config, "sliding", ())
        return config.window if sliding and all(sliding) else None

    def cache_window(self, params: AnyParams) -> int | None:
        """The window that a cache may be a ring of; None where it has to hold all that was read.

        A ring keeps the last columns. Between a soft prompt and a text there may be padding, and a
        suffix that is shorter in some rows is padding itself: what is near is then far in columns.
        """
        tree = one_tree(params)
        return None if prompt_length(tree) or suffix_length(tree) else self.window

    def decoder_length(self, params: AnyParams, input_ids: Int[Array, "B T"]) -> int:
        """How many columns the decoder has read once the prompts have been."""
        tree = one_tree(params)
        added = prompt_length(tree) + suffix_length(tree)
        return 1 if self.has_encoder else added + input_ids.shape[1]

    def read(self, params: AnyParams, ids: Int[Array, "B T"], mask: Bool[Array, "B T"]) -> Read:
        """Reads prompts that end in the last column; of an encoder's prompts any column will do."""
        if isinstance(params, RowParams):
            read: Read = map_rows(self.read, params, ids, mask)
            return read
        if self.has_encoder:
            return self._encode(params, ids, mask)
        whole, real = append_suffix(params, ids, mask)
        output = self.pretrained.apply(params, whole, real, unembed=False)
        logits = self.pretrained.unembed(params, last_token(output.hidden, real))
        # A soft prompt has been read too.
        last = jnp.sum(output.key_values.mask, axis=1, dtype=jnp.int32) - 1
        return Read(logits, output.key_values, None, last, ids, mask)

    def step(
        self,
        params: AnyParams,
        tokens: Int[Array, " B"],
        positions: Int[Array, " B"],
        cache: KeyValues,
        encoded: KeyValues | None,
    ) -> tuple[Float[Array, "B V"], KeyValues]:
        """Reads one more token of each row.

        Args:
          params: the parameter tree, or those of the prompts, which B / copies rows continue each.
          tokens: `[B]`.
          positions: of these tokens, `[B]`.
          cache: of the decoder's tokens before.
          encoded: from `read`.

        Returns:
          The logits of what follows, `[B, V]`, and the token's keys and values.
        """
        if isinstance(params, RowParams):
            found: tuple[Array, KeyValues] = map_rows(
                self.step, params, tokens, positions, cache, encoded
            )
            return found
        ids, mask = tokens[:, None], jnp.ones((len(tokens), 1), bool)
        options: dict[str, Any] = {"position_ids": positions[:, None], "prefix": cache}
        if encoded is None:
            output = self.pretrained.apply(params, ids, mask, **options)
        else:
            output = self.pretrained.decode(params, ids, mask, encoded, **options)
        return output.logits[:, 0], output.key_values

    def _encode(self, params: Params, ids: Int[Array, "B T"], mask: Bool[Array, "B T"]) -> Read:
        encoded = self.pretrained.encode(params, ids, mask)
        config: Any = self.pretrained.config
        start = jnp.full((len(ids), 1), config.decoder_start_token, jnp.int32)
        real = jnp.ones((len(ids), 1), bool)
        output = self.pretrained.decode(params, start, real, encoded)
        zeros = jnp.zeros(len(ids), jnp.int32)
        return Read(output.logits[:, 0], output.key_values, encoded, zeros, start, real)

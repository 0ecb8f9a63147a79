"""A loaded model: its config, Flax module, parameter tree and tokenizer."""

import dataclasses
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.after_tokens import suffix_length
from fsl_jax.models.blocks.before_tokens import (
    decoder_prefix_length,
    length_before,
    prefix_length,
    prompt_length,
)
from fsl_jax.models.blocks.heads import (
    ENCODER_HEADS,
    LANGUAGE_MODELS,
    MASKED_LM,
    apply_head,
    decoder_options,
    masked_logits,
)
from fsl_jax.models.blocks.layers import Dropout, PRNGKey
from fsl_jax.models.families.registry import Config
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What users hold in their hands may be NumPy's: a tokenizer's output, say.
AnyArray = Array | np.ndarray
Tokens = Int[AnyArray, "B T"]
Mask = Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"]
DecoderTokens = Int[AnyArray, "B U"]
DecoderMask = Bool[AnyArray, "B U"] | Bool[AnyArray, "B U U"]


@dataclasses.dataclass(frozen=True, eq=False)
class Pretrained:
    """A loaded model. Its methods are pure functions of the parameters that they are given.

    Attributes:
      name: the name it was loaded by.
      config: the sizes, a `BertConfig` or `LlamaConfig`, say.
      module: the Flax Linen module.
      params: the parameter tree, as the checkpoint has it.
      tokenizer: of Hugging Face's fast kind.
      sha256: of the weights file, in hex; of several files, the hash of their names and hashes.
      head: the kind of head that it was loaded with, as in `fsl_jax.models.blocks.heads`.
      labels: what the C classes of a head that classifies are called.
      end_tokens: tokens that end what it writes; none where the checkpoint leaves that to the
        tokenizer's end of sequence.
    """

    name: str
    config: Config
    module: nn.Module
    params: Params
    tokenizer: "PreTrainedTokenizerFast"
    sha256: str
    head: str | None = None
    labels: tuple[str, ...] = ()
    end_tokens: tuple[int, ...] = ()

    def apply(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B S D"] | None = None,
        decoder_input_ids: DecoderTokens | None = None,
        decoder_attention_mask: DecoderMask | None = None,
        decoder_position_ids: DecoderTokens | None = None,
        dropout: float = 0.0,
        key: PRNGKey | None = None,
        unembed: bool = True,
    ) -> ModelOutput:
        """Runs the model.

        Top-level entries of `params` that are not the model's (a task's head) are not read.

        Args:
          params: a tree like `self.params`, perhaps with extra leaves, and perhaps with the upper
            layers cut off into `top_layers`.
          input_ids: int32 `[B, T]`.
          attention_mask: bool. `[B, T]` is True for real tokens; padding may be on either side,
            and a decoder's tokens see the real ones up to themselves and all real ones of the
            prefix. `[B, T, P + T]` is taken as it is: True where a token sees another,
            within the sliding window of a layer that has one.
          position_ids: int32 `[B, T]`. By default real tokens are counted from 0, or from the
            number of real tokens in the prefix; with a mask of three axes they must be given.
          prefix: the `key_values` of `P` tokens before these, for a decoder; of batch 1 they are
            shared by all rows, without a copy per row.
          trunk: what `self.trunk` returned for these tokens: embeddings and `layers` are skipped.
          decoder_input_ids: int32 `[B, U]`, the decoder's tokens where an encoder reads
            `input_ids`; they begin with `config.decoder_start_token`. A head that classifies or
            pools takes none.
          decoder_attention_mask: bool, as `attention_mask`; by default all of them are real.
          decoder_position_ids: int32 `[B, U]`, as `position_ids`.
          dropout: rate of the dropout after attention and multilayer perceptron of each layer, and
            wherever else the family drops activations. A Python number, not traced.
          key: threefry key, required where the rate is not 0.
          unembed: whether a decoder or a head computes `logits`.

        Returns:
          `hidden` `[B, T, D]`, what the head gives, and for a decoder `logits` `[B, T, V]` and
          `key_values`. Of an encoder-decoder these are the decoder's, `[B, U, …]`, beside
          `encoder_hidden` `[B, T, D]`.

        Raises:
          InputError: the tokens are more than the model's longest sequence, position_ids or
            decoder_input_ids are missing, or a dropout rate came without a key.
        """
        # The prefix's keys and values have those of a soft prompt among them.
        before = prompt_length(params) if prefix is None else prefix.mask.shape[1]
        self._check_length(input_ids.shape[1], before + prefix_length(params), params)
        inputs = (input_ids, attention_mask, position_ids)
        tokens, mask, positions = jax.tree.map(jnp.asarray, inputs)
        drop = Dropout(dropout, key)
        decoder = self._decoder_inputs(
            decoder_input_ids, decoder_attention_mask, decoder_position_ids
        )
        if self._has_own_head and self.config.is_encoder_decoder:
            decoder = decoder_options(self.config, str(self.head), tokens, mask)
        if (read := decoder.get("decoder_input_ids")) is not None:
            self._check_length(read.shape[1], decoder_prefix_length(params))
        output = self._call(
            params,
            tokens,
            mask,
            position_ids=positions,
            prefix=prefix,
            trunk=trunk,
            dropout=drop,
            unembed=unembed and not self._has_own_head,
            **decoder,
        )
        if self._has_own_head and unembed:
            return apply_head(self.config, str(self.head), params, output, mask, drop)
        return output

    def encode(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
    ) -> KeyValues:
        """Runs an encoder-decoder's encoder, for `decode` to attend to, any number of times.

        Args:
          params: as in `apply`.
          input_ids: as in `apply`.
          attention_mask: as in `apply`.
          position_ids: as in `apply`.

        Returns:
          Keys and values of the encoder's tokens in every layer of the decoder,
          `[L, B, S, H, Dh]`, those of a soft prompt before them.

        Raises:
          InputError: the model is no encoder-decoder, or as in `apply`.
        """
        self._require_encoder_decoder()
        self._check_length(input_ids.shape[1], prompt_length(params))
        inputs = (input_ids, attention_mask, position_ids)
        tokens, mask, positions = jax.tree.map(jnp.asarray, inputs)
        return self._call(params, tokens, mask, position_ids=positions, method="encode")

    def decode(
        self,
        params: Params,
        decoder_input_ids: Tokens,
        decoder_attention_mask: Mask,
        encoded: KeyValues,
        *,
        position_ids: Tokens | None = None,
        prefix: KeyValues | None = None,
        unembed: bool = True,
    ) -> ModelOutput:
        """Runs an encoder-decoder's decoder.

        Args:
          params: as in `apply`.
          decoder_input_ids: int32 `[B, T]`; a text begins with `config.decoder_start_token`.
          decoder_attention_mask: as `attention_mask` of a decoder in `apply`.
          encoded: from `encode`, of batch B, or of batch 1, which is shared by all rows.
          position_ids: of the decoder's tokens, as in `apply`.
          prefix: the `key_values` of decoder tokens before these, as in `apply`.
          unembed: whether `logits` are computed.

        Returns:
          `hidden` `[B, T, D]`, `logits` `[B, T, V]` and `key_values`.

        Raises:
          InputError: the model is no encoder-decoder, or as in `apply`.
        """
        self._require_encoder_decoder()
        before = 0 if prefix is None else prefix.mask.shape[1]
        learned = decoder_prefix_length(params)
        self._check_length(decoder_input_ids.shape[1], before + learned)
        inputs = (decoder_input_ids, decoder_attention_mask, position_ids)
        tokens, mask, positions = jax.tree.map(jnp.asarray, inputs)
        options = {"position_ids": positions, "prefix": prefix, "unembed": unembed}
        return self._call(params, tokens, mask, encoded, **options, method="decode")

    def trunk(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
    ) -> Float[Array, "B S D"]:
        """Runs embeddings and `layers` alone, for parameters that are cut into two sections.

        Args:
          params: as in `apply`.
          input_ids: as in `apply`.
          attention_mask: as in `apply`.
          position_ids: as in `apply`.

        Returns:
          The activations before `top_layers` and before the final norm, `[B, T, D]`, those of a
          soft prompt before them; given to `apply` as `trunk` they take the place of the layers
          below.

        Raises:
          InputError: the model is an encoder-decoder, which has two stacks of layers.
        """
        if self.config.is_encoder_decoder:
            raise InputError(f"{self.name} is an encoder-decoder, whose two stacks are not cut.")
        self._check_length(input_ids.shape[1], length_before(params), params)
        inputs = (input_ids, attention_mask, position_ids)
        tokens, mask, positions = jax.tree.map(jnp.asarray, inputs)
        return self._call(params, tokens, mask, position_ids=positions, method="trunk")

    def unembed(
        self,
        params: Params,
        hidden: Float[Array, "*batch D"],
        token_ids: Int[Array, " n"] | None = None,
    ) -> Float[Array, "*batch n"]:
        """Logits from hidden states, of all tokens or of some.

        Args:
          params: as in `apply`.
          hidden: `[..., D]`, after the final norm.
          token_ids: int32 `[n]`; only these rows of the output embedding are multiplied.

        Returns:
          float32 `[..., V]`, or `[..., n]`.

        Raises:
          InputError: the model has no output embedding, being an encoder without a masked language
            model's head, or it has another head.
        """
        if self.head == MASKED_LM:
            return masked_logits(self.config, params, hidden, token_ids)
        if self._has_own_head:
            raise InputError(
                f"{self.name} was loaded with the head {self.head}, not to give words."
            )
        if not self.is_language_model:
            raise InputError(
                f"{self.name} is an encoder ({self.config.family}) and has no output embedding. "
                f"Load it with head={MASKED_LM!r}, use a decoder, or a formulation with a head."
            )
        return self._call(params, hidden, token_ids, method="unembed")

    @property
    def is_language_model(self) -> bool:
        """Whether it gives the logits of the words that come next."""
        writes = self.config.is_decoder or self.config.is_encoder_decoder
        return writes and not self._has_own_head

    @property
    def decodes(self) -> bool:
        """Whether a decoder gives the hidden states, whose last one has seen all of a text."""
        return self.config.is_decoder or (
            self.config.is_encoder_decoder and self.head not in ENCODER_HEADS
        )

    @property
    def _has_own_head(self) -> bool:
        """Whether the logits are a head's, and not those of the model's output embedding."""
        return self.head is not None and self.head not in LANGUAGE_MODELS

    def _decoder_inputs(
        self,
        tokens: DecoderTokens | None,
        mask: DecoderMask | None,
        positions: DecoderTokens | None,
    ) -> dict[str, Any]:
        """What an encoder-decoder is given for its decoder, and other models are not."""
        given = {
            "decoder_input_ids": tokens,
            "decoder_attention_mask": mask,
            "decoder_position_ids": positions,
        }
        is_given = any(array is not None for array in given.values())
        if self._has_own_head and is_given:
            raise InputError(
                f"{self.name} was loaded with the head {self.head}, which reads input_ids alone. "
                f"Leave {', '.join(given)} out."
            )
        if self.config.is_encoder_decoder:
            return jax.tree.map(jnp.asarray, given)
        if is_given:
            self._require_encoder_decoder()
        return {}

    def _require_encoder_decoder(self) -> None:
        if not self.config.is_encoder_decoder:
            raise InputError(
                f"{self.name} ({self.config.family}) is no encoder-decoder: it has one stack of "
                "layers. Give all tokens to `apply` as input_ids."
            )
        if self.head in ENCODER_HEADS:
            raise InputError(
                f"{self.name} was loaded with the head {self.head}, without its decoder. Load it "
                "without a head."
            )

    def _call(self, params: Params, *arguments: Any, **options: Any) -> Any:
        return self.module.apply({"params": params}, *arguments, **options)

    def _check_length(self, length: int, before: int = 0, params: Params | None = None) -> None:
        """Raises an error for more tokens than the model reads; a suffix is among the tokens."""
        most = self.config.max_length
        if before + length > most:
            found = f"{length} token{'s' * (length > 1)}"
            more = f" and the {before} before them" if before else ""
            after = suffix_length(params or {})
            behind = f", which leaves room for the {after} of the suffix" if after else ""
            raise InputError(
                f"{found}{more} are more than {self.name} can read at once, which is {most}. "
                f"Truncate the text to {max(most - before - after, 0)} tokens{behind}, or use a "
                "model with longer input."
            )

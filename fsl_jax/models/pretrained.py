"""A loaded model: its config, Flax module, parameter tree and tokenizer."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.blocks.head_kinds import (
    ENCODER_HEADS,
    LANGUAGE_MODELS,
    MASKED_LM,
    SEQUENCE_CLASSIFICATION,
)
from fsl_jax.models.blocks.heads import (
    apply_head,
    classify_texts,
    decoder_options,
    require_own_rows,
)
from fsl_jax.models.blocks.intermediate_leaves import require_reparametrized
from fsl_jax.models.blocks.layers import Dropout, PRNGKey
from fsl_jax.models.blocks.masked_lm import masked_logits
from fsl_jax.models.blocks.pooling import TextEnd
from fsl_jax.models.blocks.prompt_positions import (
    decoder_prefix_length,
    prefix_length,
    prompt_length,
)
from fsl_jax.models.families.registry import FAMILIES, Config
from fsl_jax.models.input_checks import (
    check_length,
    check_positions,
    require_classifier,
    require_encoder_decoder,
    require_no_decoder_inputs,
    require_token_ids,
)
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Users may pass NumPy arrays, such as a tokenizer's output.
AnyArray = Array | np.ndarray
Tokens = Int[AnyArray, "B T"]
Mask = Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"]
DecoderTokens = Int[AnyArray, "B U"]
DecoderMask = Bool[AnyArray, "B U"] | Bool[AnyArray, "B U U"]


@dataclasses.dataclass(frozen=True, eq=False)
class Pretrained:
    """A loaded model. Its methods are pure functions of the parameters that are passed to them.

    Attributes:
      name: the name that the model was loaded by.
      config: the sizes, such as a `BertConfig` or a `LlamaConfig`.
      module: the Flax Linen module.
      params: the parameter tree of the checkpoint.
      tokenizer: a fast tokenizer of Hugging Face.
      sha256: the SHA-256 of the weights file in hex; for several files, the hash of their names and
        hashes.
      head: the kind of head that the model was loaded with, one of those in
        `fsl_jax.models.blocks.head_kinds`.
      labels: the names of the C classes of a head that classifies.
      end_tokens: the tokens that end a generated text; if empty, the tokenizer's end-of-sequence
        token ends it.
      file_hashes: the SHA-256 in hex, by file name, of the config and of the tokenizer's files;
        empty for a GGUF file, which is all in `sha256`.
      text_end: the tokens by which the head finds the last token of a text that it classifies.
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
    file_hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    text_end: TextEnd = dataclasses.field(default_factory=TextEnd)

    def apply(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
        segment_ids: Tokens | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B S D"] | None = None,
        decoder_input_ids: DecoderTokens | None = None,
        decoder_attention_mask: DecoderMask | None = None,
        decoder_position_ids: DecoderTokens | None = None,
        decoder_segment_ids: DecoderTokens | None = None,
        dropout: float = 0.0,
        key: PRNGKey | None = None,
        unembed: bool = True,
    ) -> ModelOutput:
        """Run the model.

        It does not read top-level entries of `params` that belong to something else, such as a
        task's head.

        Args:
          params: a tree like `self.params`. It may have added leaves, and the upper layers may be
            cut off into `top_layers`.
          input_ids: int32 `[B, T]`.
          attention_mask: bool `[B, T]`, True for real tokens; padding may be on either side. Tokens
            of a decoder see the real tokens up to themselves and all real tokens of the prefix. A
            mask `[B, T, P + T]` says for each token which tokens it sees; a sliding window still
            limits it.
          position_ids: int32 `[B, T]`. By default real tokens are counted from 0, or from the
            number of real tokens in the prefix. A mask of three axes requires them.
          segment_ids: int32 `[B, T]`, for packed rows: each token sees only tokens of its own
            segment, a range of the row with a number above 0; 0 is padding. Positions are counted
            inside each segment. A mask of three axes is used as it is. A row may be longer than the
            model's longest text. A soft prompt is then not put before the rows: its vectors are
            tokens, whose ids `prompt_token_ids` gives, and positions of texts start after them.
          prefix: the `key_values` of the `P` tokens before these, for a decoder. With batch 1, all
            rows share them without a copy. Those of packed rows are seen by the tokens with the
            same `segment_ids`, which are required then.
          trunk: the output of `self.trunk` for these tokens; embeddings and `layers` are skipped.
          decoder_input_ids: int32 `[B, U]`, the decoder's tokens in an encoder-decoder, which begin
            with `config.decoder_start_token`. A head that classifies or pools takes none.
          decoder_attention_mask: bool, like `attention_mask`; by default all tokens are real.
          decoder_position_ids: int32 `[B, U]`, like `position_ids`.
          decoder_segment_ids: int32 `[B, U]`, required with `segment_ids`. A token sees the
            encoder's tokens of the segment with its number.
          dropout: rate of the dropout after the attention and the multilayer perceptron of each
            layer, and wherever else the family drops activations. A Python number, not traced.
          key: a threefry key, required if the rate is not 0.
          unembed: True if a decoder or a head is to compute `logits`.

        Returns:
          `hidden` `[B, T, D]` and the head's output, and for a decoder `logits` `[B, T, V]` and
          `key_values`. For an encoder-decoder these are the decoder's, `[B, U, …]`, and
          `encoder_hidden` is `[B, T, D]`.

        Raises:
          InputError: there are more tokens than the model can read, a NumPy array has token ids
            that the model does not embed, position_ids or decoder_input_ids are missing, a dropout
            rate came without a key, the leaves are those of a method whose `reparametrize` was not
            applied, or a head that pools got packed rows, for which there is `classify`.
        """
        if segment_ids is not None and self._has_own_head and unembed:
            require_own_rows(str(self.head))
        inputs = (input_ids, attention_mask, position_ids, segment_ids)
        self._check_inputs(params, *inputs, prefix)
        tokens, mask, positions, segments = jax.tree.map(jnp.asarray, inputs)
        decoder_inputs = {
            "decoder_input_ids": decoder_input_ids,
            "decoder_attention_mask": decoder_attention_mask,
            "decoder_position_ids": decoder_position_ids,
            "decoder_segment_ids": decoder_segment_ids,
        }
        drop = Dropout(dropout, key)
        output = self._call(
            params,
            tokens,
            mask,
            position_ids=positions,
            segment_ids=segments,
            prefix=prefix,
            trunk=trunk,
            dropout=drop,
            unembed=unembed and not self._has_own_head,
            **self._decoder_inputs(params, decoder_inputs, tokens, mask, segments),
        )
        if self._has_own_head and unembed:
            classifier = FAMILIES[self.config.family].classifier
            if self.head == SEQUENCE_CLASSIFICATION and mask.ndim == 2:
                mask = self.text_end.counted(mask, tokens)
            return apply_head(self.config, str(self.head), classifier, params, output, mask, drop)
        return output

    def encode(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
    ) -> KeyValues:
        """Run an encoder-decoder's encoder; the result can be passed to `decode` many times.

        Args:
          params: as in `apply`.
          input_ids: as in `apply`.
          attention_mask: as in `apply`.
          position_ids: as in `apply`.

        Returns:
          The keys and values of the encoder's tokens in every layer of the decoder,
          `[L, B, S, H, Dh]`, after those of a soft prompt.

        Raises:
          InputError: the model is no encoder-decoder, or as in `apply`.
        """
        self._require_encoder_decoder()
        check_length(self.name, self.config, input_ids.shape[1], prompt_length(params))
        require_token_ids(self.name, self.config, params, input_ids)
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
        """Run an encoder-decoder's decoder.

        Args:
          params: as in `apply`.
          decoder_input_ids: int32 `[B, T]`; a text begins with `config.decoder_start_token`.
          decoder_attention_mask: like the `attention_mask` of a decoder in `apply`.
          encoded: the output of `encode`, with batch B, or with batch 1 for all rows to share.
          position_ids: positions of the decoder's tokens, as in `apply`.
          prefix: the `key_values` of the decoder's tokens before these, as in `apply`.
          unembed: True if `logits` are to be computed.

        Returns:
          `hidden` `[B, T, D]`, `logits` `[B, T, V]` and `key_values`.

        Raises:
          InputError: the model is no encoder-decoder, or as in `apply`.
        """
        self._require_encoder_decoder()
        before = 0 if prefix is None else prefix.mask.shape[1]
        learned = decoder_prefix_length(params)
        check_length(self.name, self.config, decoder_input_ids.shape[1], before + learned)
        require_token_ids(self.name, self.config, params, decoder_input_ids)
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
        segment_ids: Tokens | None = None,
    ) -> Float[Array, "B S D"]:
        """Run only the embeddings and `layers`, for parameters that are cut into two sections.

        Args:
          params: as in `apply`.
          input_ids: as in `apply`.
          attention_mask: as in `apply`.
          position_ids: as in `apply`.
          segment_ids: as in `apply`.

        Returns:
          The activations before `top_layers`, without the final norm, `[B, T, D]`, after those of a
          soft prompt that comes before the rows. Given to `apply` as `trunk`, they replace the
          layers below.

        Raises:
          InputError: the model is an encoder-decoder, which has two stacks of layers.
        """
        if self.config.is_encoder_decoder:
            raise InputError(f"{self.name} is an encoder-decoder, whose two stacks are not cut.")
        inputs = (input_ids, attention_mask, position_ids, segment_ids)
        self._check_inputs(params, *inputs)
        tokens, mask, positions, segments = jax.tree.map(jnp.asarray, inputs)
        options = {"position_ids": positions, "segment_ids": segments}
        return self._call(params, tokens, mask, **options, method="trunk")

    def classify(
        self,
        params: Params,
        hidden: Float[Array, "B T D"],
        members: Bool[AnyArray, "E BT"],
        input_ids: Tokens,
        *,
        dropout: float = 0.0,
        key: PRNGKey | None = None,
    ) -> Float[Array, "E C"]:
        """Run the head that classifies texts on the hidden states of packed rows.

        Args:
          params: as in `apply`.
          hidden: the hidden states of `apply` with `unembed=False`, `[B, T, D]`.
          members: bool `[E, B * T]`, True where a place, counted over all rows, holds a token of a
            text, without those of a soft prompt.
          input_ids: the token ids of the rows, int32 `[B, T]`.
          dropout: as in `apply`.
          key: as in `apply`.

        Returns:
          The float32 logits of E texts, `[E, C]`, as `apply` gives them for one text a row.

        Raises:
          InputError: the model has no head that classifies texts.
        """
        require_classifier(self.name, self.head)
        require_reparametrized(params)
        mask = self.text_end.counted(jnp.asarray(members), jnp.asarray(input_ids).reshape(-1))
        flat = hidden.reshape(-1, hidden.shape[-1])
        style = FAMILIES[self.config.family].classifier
        return classify_texts(style, params, flat, mask, Dropout(dropout, key))

    def unembed(
        self,
        params: Params,
        hidden: Float[Array, "*batch D"],
        token_ids: Int[Array, " n"] | None = None,
    ) -> Float[Array, "*batch n"]:
        """Return the logits of all or some tokens, from hidden states.

        Args:
          params: as in `apply`.
          hidden: `[..., D]`, after the final norm.
          token_ids: int32 `[n]`; only these rows of the output embedding are used.

        Returns:
          float32 `[..., V]`, or `[..., n]`.

        Raises:
          InputError: the model is an encoder without a head for masked language modelling, so it
            has no output embedding; or it has another head.
        """
        if self.head == MASKED_LM:
            require_reparametrized(params)
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
        """True if the model gives the logits of the next tokens."""
        writes = self.config.is_decoder or self.config.is_encoder_decoder
        return writes and not self._has_own_head

    @property
    def decodes(self) -> bool:
        """True if the hidden states are a decoder's, whose last one has seen the whole text."""
        return self.config.is_decoder or (
            self.config.is_encoder_decoder and self.head not in ENCODER_HEADS
        )

    @property
    def _has_own_head(self) -> bool:
        """True if the logits come from a head, not from the model's output embedding."""
        return self.head is not None and self.head not in LANGUAGE_MODELS

    def _decoder_inputs(
        self,
        params: Params,
        given: dict[str, Any],
        tokens: Int[Array, "B T"],
        mask: Bool[Array, "*shape"],
        segments: Int[Array, "B T"] | None,
    ) -> dict[str, Any]:
        """Return the inputs of an encoder-decoder's decoder, those of its head if it has one."""
        if self._has_own_head:
            require_no_decoder_inputs(self.name, self.head, given)
        if not self.config.is_encoder_decoder:
            if any(array is not None for array in given.values()):
                self._require_encoder_decoder()
            return {}
        require_token_ids(self.name, self.config, params, given["decoder_input_ids"])
        inputs = jax.tree.map(jnp.asarray, given)
        if self._has_own_head:
            inputs = decoder_options(self.config, str(self.head), tokens, mask, segments)
        if (read := inputs.get("decoder_input_ids")) is not None:
            seen = inputs["decoder_attention_mask"]
            shared = segments is not None or (seen is not None and seen.ndim == 3)
            # A head that pools gives the decoder no positions.
            positions, before = inputs.get("decoder_position_ids"), decoder_prefix_length(params)
            check_positions(self.name, self.config, read, positions, before, shared=shared)
        return inputs

    def _require_encoder_decoder(self) -> None:
        require_encoder_decoder(self.name, self.config, self.head)

    def _call(self, params: Params, *arguments: Any, **options: Any) -> Any:
        require_reparametrized(params)
        return self.module.apply({"params": params}, *arguments, **options)

    def _check_inputs(
        self,
        params: Params,
        tokens: Tokens,
        mask: Mask,
        positions: Tokens | None,
        segments: Tokens | None,
        prefix: KeyValues | None = None,
    ) -> None:
        """Raise an error for tokens beyond the model's positions or without a vector."""
        shared = mask.ndim == 3 or segments is not None
        before = prompt_length(params)
        if prefix is not None:
            # Its keys and values include those of a soft prompt, and given positions count them.
            before = 0 if shared else prefix.mask.shape[1]
        before += prefix_length(params)
        check_positions(self.name, self.config, tokens, positions, before, params, shared=shared)
        require_token_ids(self.name, self.config, params, tokens, packed=segments is not None)

"""T5 encoder-decoders (https://arxiv.org/abs/1910.10683), T5 1.1, FLAN-T5 and mT5."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import require_positions
from fsl_jax.models.attention.causal import causal_attention_inputs
from fsl_jax.models.attention.segments import require_segments, seen_before, within_segments
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout, Embedding, Unembedding
from fsl_jax.models.blocks.prompt_positions import (
    decoder_prefix_length,
    prepend_prompt,
    prompt_length,
)
from fsl_jax.models.blocks.prompt_tokens import hide_padding, positions_after_prompt
from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.models.families.t5.stack import Mask, T5Decoder, T5Encoder
from fsl_jax.models.outputs import KeyValues, ModelOutput

# The numbers that dropout folds into its key, one for each stack.
_ENCODER, _DECODER = range(2)


def _or_columns(
    position_ids: Int[Array, "B T"] | None, tokens: Int[Array, "B T"]
) -> Int[Array, "_ T"]:
    """Return the positions between which distances are measured, by default one row for all.

    Columns serve in packed rows too: a segment is a range of a row, and sees no other.
    """
    if position_ids is not None:
        return position_ids
    return jnp.arange(tokens.shape[1], dtype=jnp.int32)[None]


class T5Embeddings(nn.Module):
    """The word embedding; positions are a bias of attention."""

    config: T5Config
    dtype: jnp.dtype

    def setup(self):
        """Create the submodules."""
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, self.dtype)

    def __call__(
        self, input_ids: Int[Array, "B T"], length: int | None = None
    ) -> Float[Array, "B S D"]:
        """Embed tokens `[B, T]`; if `length` is above `T`, a soft prompt comes before them."""
        return self.word(input_ids, length)


class T5(nn.Module):
    """The encoder-decoder. `Pretrained` documents its methods.

    The distance between two tokens is the number of columns between them, padding included, as in
    transformers. With position_ids or a prefix it is the difference of positions instead. A soft
    prompt comes before the encoder's tokens: the decoder sees it, but `encoder_hidden` leaves it
    out.
    """

    config: T5Config
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Create the submodules."""
        sizes = self.config
        self.embeddings = T5Embeddings(sizes, self.dtype)
        self.encoder = T5Encoder(sizes, sizes.num_layers, bidirectional=True)
        self.decoder = T5Decoder(sizes, sizes.num_decoder_layers, bidirectional=False)
        if not sizes.tied:
            self.unembedding = Unembedding(sizes.vocab_size)

    def __call__(
        self,
        input_ids: Int[Array, "B S"],
        attention_mask: Bool[Array, "B S"] | Bool[Array, "B S S"],
        *,
        decoder_input_ids: Int[Array, "B T"] | None = None,
        decoder_attention_mask: Bool[Array, "B T"] | Bool[Array, "B T T"] | None = None,
        decoder_position_ids: Int[Array, "B T"] | None = None,
        decoder_segment_ids: Int[Array, "B T"] | None = None,
        decodes: bool = True,
        position_ids: Int[Array, "B S"] | None = None,
        segment_ids: Int[Array, "B S"] | None = None,
        prefix: KeyValues | None = None,
        trunk: Array | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """Run the encoder and the decoder, or the encoder alone. See `Pretrained.apply`."""
        if prefix is not None or trunk is not None:
            raise InputError(
                "an encoder-decoder takes no prefix and no trunk here: give a prefix of decoder "
                "tokens to `decode`."
            )
        tokens = (input_ids, attention_mask, position_ids, segment_ids)
        prompt = self._prompt_length() if segment_ids is None else 0
        if not decodes:
            hidden = self._hidden(*tokens, dropout)[0][:, prompt:]
            return ModelOutput(hidden, encoder_hidden=hidden)
        if decoder_input_ids is None:
            if not self.is_initializing():
                raise InputError(
                    "decoder_input_ids are missing: an encoder-decoder reads input_ids and gives "
                    "logits for other tokens. Give the decoder's tokens, int32 [B, T], which begin "
                    f"with the token {self.config.decoder_start_token}."
                )
            decoder_input_ids = input_ids
        if decoder_attention_mask is None:
            decoder_attention_mask = jnp.ones(decoder_input_ids.shape, bool)
        hidden, encoded = self._encode(*tokens, dropout)
        output = self.decode(
            decoder_input_ids,
            decoder_attention_mask,
            encoded,
            position_ids=decoder_position_ids,
            segment_ids=decoder_segment_ids,
            dropout=dropout,
            unembed=unembed,
        )
        encoder_hidden = hidden[:, prompt:]
        return ModelOutput(output.hidden, output.logits, output.key_values, encoder_hidden)

    def encode(
        self,
        input_ids: Int[Array, "B S"],
        attention_mask: Bool[Array, "B S"] | Bool[Array, "B S S"],
        *,
        position_ids: Int[Array, "B S"] | None = None,
        segment_ids: Int[Array, "B S"] | None = None,
    ) -> KeyValues:
        """Return the keys and values of the encoder's tokens. See `Pretrained.encode`."""
        tokens = (input_ids, attention_mask, position_ids, segment_ids)
        return self._encode(*tokens, NO_DROPOUT)[1]

    def decode(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        encoded: KeyValues,
        *,
        position_ids: Int[Array, "B T"] | None = None,
        prefix: KeyValues | None = None,
        segment_ids: Int[Array, "B T"] | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """Run the decoder alone. See `Pretrained.decode`."""
        require_segments(segment_ids, encoded, prefix)
        seen, given = encoded.mask[:, None, :], position_ids
        if segment_ids is not None:
            seen = seen_before(segment_ids, encoded)
            attention_mask, position_ids = within_segments(
                attention_mask, position_ids, segment_ids, prefix, causal=True
            )
        attention_inputs = causal_attention_inputs(attention_mask, position_ids, prefix)
        learned = decoder_prefix_length(self.variables.get("params", {}))
        if prefix is not None or (segment_ids is not None and learned):
            given = attention_inputs.positions
        x = self.embeddings(input_ids)
        hidden, pairs = self.decoder(
            x,
            attention_inputs,
            _or_columns(given, input_ids),
            encoded,
            seen,
            dropout.within(_DECODER),
        )
        pairs = dataclasses.replace(pairs, segment_ids=segment_ids)
        return ModelOutput(hidden, self.unembed(hidden) if unembed else None, pairs)

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Return the logits of all tokens or of some. See `Pretrained.unembed`."""
        if self.config.scaled:
            hidden *= jnp.asarray(self.config.hidden_size**-0.5, hidden.dtype)
        if self.config.tied:
            return self.embeddings.word.attend(hidden, token_ids)
        return self.unembedding(hidden, token_ids)

    def _hidden(
        self,
        input_ids: Int[Array, "B S"],
        mask: Bool[Array, "B S"] | Bool[Array, "B S S"],
        position_ids: Int[Array, "B S"] | None,
        segment_ids: Int[Array, "B S"] | None,
        dropout: Dropout,
    ) -> tuple[Float[Array, "B PS D"], Bool[Array, "B PS"] | Bool[Array, "B PS PS"]]:
        """Return the encoder's hidden states with those of a soft prompt, and the mask of both."""
        if position_ids is None:
            require_positions(mask)
        params: Any = self.variables.get("params", {})
        positions: Any = _or_columns(position_ids, input_ids)
        if segment_ids is not None:
            given = positions_after_prompt(params, input_ids, position_ids)
            shown = hide_padding(params, input_ids, mask)
            mask, counted = within_segments(shown, given, segment_ids, causal=False)
            positions = counted if self._prompt_length() else positions
        elif self._prompt_length():
            prompt_mask = params["embeddings"]["word"]["prompt_mask"]
            mask, positions = prepend_prompt(prompt_mask, mask, positions, causal=False)
        x = self.embeddings(input_ids, mask.shape[-1])
        return self.encoder(x, mask, positions, dropout.within(_ENCODER)), mask

    def _prompt_length(self) -> int:
        return prompt_length(self.variables.get("params", {}))

    def _encode(
        self,
        input_ids: Int[Array, "B S"],
        mask: Bool[Array, "B S"] | Bool[Array, "B S S"],
        position_ids: Int[Array, "B S"] | None,
        segment_ids: Int[Array, "B S"] | None,
        dropout: Dropout,
    ) -> tuple[Float[Array, "B PS D"], KeyValues]:
        hidden, mask = self._hidden(input_ids, mask, position_ids, segment_ids, dropout)
        real = mask if mask.ndim == 2 else jnp.any(mask, axis=1)
        encoded = self.decoder.key_values(hidden, real)
        return hidden, dataclasses.replace(encoded, segment_ids=segment_ids)

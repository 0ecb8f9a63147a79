"""What decoders have in common: causal layers, a final norm, and logits of the next token."""

from typing import Any

from jaxtyping import Array, Float, Int

from fsl_jax.models.attention.causal import (
    CausalAttentionInputs,
    StackedPair,
    causal_attention_inputs,
)
from fsl_jax.models.blocks.transformer import Mask, Transformer
from fsl_jax.models.outputs import KeyValues, ModelOutput


class Decoder(Transformer):
    """A decoder, whose layers give the keys and values of their tokens.

    A family names a `final_norm` too, and an `unembedding` where `config.tied` is False.
    """

    def attention_inputs(
        self,
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> CausalAttentionInputs:
        """Every token sees those before it."""
        return causal_attention_inputs(attention_mask, position_ids, prefix)

    def output(
        self,
        x: Float[Array, "B T D"],
        attention_inputs: Any,
        given: list[StackedPair],
        unembed: bool,
    ) -> ModelOutput:
        """The hidden states after the final norm, their logits, and all keys and values."""
        hidden = self.final_norm(x)
        logits = self.unembed(hidden) if unembed else None
        return ModelOutput(hidden, logits, attention_inputs.key_values(given))

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Logits of all tokens or of some. See `Pretrained.unembed`."""
        output = self.embeddings.word.attend if self.config.tied else self.unembedding
        return output(hidden, token_ids)

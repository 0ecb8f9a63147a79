"""The decoder that GPT-2 and Llama share: causal layers, a final norm, and logits."""

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
    """A decoder whose layers return the keys and values of their tokens.

    In addition to the parts of `Transformer`, a family defines a `final_norm`, and an `unembedding`
    if `config.tied` is False.
    """

    def attention_inputs(
        self,
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> CausalAttentionInputs:
        """Let each token see the prefix, itself and the tokens before it."""
        return causal_attention_inputs(attention_mask, position_ids, prefix)

    def output(
        self,
        x: Float[Array, "B T D"],
        attention_inputs: Any,
        section_outputs: list[StackedPair],
        unembed: bool,
    ) -> ModelOutput:
        """Apply the final norm, and return the hidden states, their logits, and keys and values."""
        hidden = self.final_norm(x)
        logits = self.unembed(hidden) if unembed else None
        return ModelOutput(hidden, logits, attention_inputs.key_values(section_outputs))

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Return the logits of all tokens or of `token_ids`. See `Pretrained.unembed`."""
        output = self.embeddings.word.attend if self.config.tied else self.unembedding
        return output(hidden, token_ids)

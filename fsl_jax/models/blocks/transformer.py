"""The part that encoders and decoders share: embeddings, then stacked layers in 1 or 2 sections."""

import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.segments import require_segments, within_segments
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout
from fsl_jax.models.blocks.prompt_positions import prefix_count, prepend_prompt, prompt_length
from fsl_jax.models.blocks.prompt_tokens import hide_padding, positions_after_prompt
from fsl_jax.models.blocks.stack import depth, initialise_stack, run_stack
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params

Mask = Bool[Array, "B T"] | Bool[Array, "B T S"]

# The number that dropout folds into its key for the embeddings; those of layers come after it.
_EMBEDDINGS = 0


@runtime_checkable
class AttentionInputs(Protocol):
    """The inputs of a model's layers besides the activations: masks, positions, a prefix."""

    @property
    def positions(self) -> Int[Array, "B T"]:
        """The positions of the tokens."""

    def per_layer(self, first: int, layers: int) -> Any:
        """Return the inputs that differ between the layers of a section.

        Args:
          first: the number of the section's first layer.
          layers: the number of its layers.

        Returns:
          A tree of arrays `[layers, ...]`, or None.
        """

    def arguments(self, inputs: Any) -> tuple[Any, ...]:
        """Return a layer's arguments between activations and dropout, from its `inputs`."""


class Transformer(nn.Module):
    """Embeddings, then layers. `Pretrained` documents the methods.

    A family defines `embeddings`, which are called with tokens, positions and dropout, and the
    type of its layers. A layer returns the activations, and anything else that `output` needs.

    Attributes:
      config: the family's sizes.
      dtype: of the activations.
      layer_type: makes a layer from the config.
      drops_embeddings: whether the embeddings use their dropout. The layers' dropout is then
        numbered from 1 instead of 0.
    """

    config: Any
    dtype: jnp.dtype = jnp.float32
    layer_type: ClassVar[type[nn.Module]]
    drops_embeddings: ClassVar[bool] = True

    def attention_inputs(
        self,
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> AttentionInputs:
        """Return the layers' inputs, made from the arguments of `Pretrained.apply`."""
        raise NotImplementedError

    def text_positions(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        segment_ids: Int[Array, "B T"] | None,
    ) -> Int[Array, "B T"] | None:
        """Return the positions of tokens, or None to count the real tokens from 0."""
        return position_ids

    def output(
        self,
        x: Float[Array, "B T D"],
        attention_inputs: Any,
        section_outputs: list[Any],
        unembed: bool,
    ) -> ModelOutput:
        """Return the model's output.

        Args:
          x: the activations after the last layer.
          attention_inputs: from the method of that name.
          section_outputs: for each section that ran, the outputs of its layers other than
            activations.
          unembed: whether to compute logits.
        """
        raise NotImplementedError

    def __call__(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
        segment_ids: Int[Array, "B T"] | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B S D"] | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """Run all layers, or only those after the trunk. See `Pretrained.apply`."""
        prompt = self._prepended_length(prefix, segment_ids)
        attention_inputs = self._attention_inputs(
            input_ids, attention_mask, position_ids, segment_ids, prefix
        )
        x, section_outputs = trunk, []
        if x is None:
            x, lower = self._trunk(input_ids, attention_inputs, dropout)
            section_outputs.append(lower)
        if self.has_variable("params", "top_layers"):
            below = depth(self.get_variable("params", "layers"))
            x, upper = self._run("top_layers", x, attention_inputs, dropout, first=below)
            section_outputs.append(upper)
        x = x[:, prompt:] if prompt else x
        output = self.output(x, attention_inputs, section_outputs, unembed)
        if output.key_values is None:
            return output
        pairs = dataclasses.replace(output.key_values, segment_ids=segment_ids)
        return dataclasses.replace(output, key_values=pairs)

    def trunk(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
        segment_ids: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B S D"]:
        """Run the embeddings and the section `layers`. See `Pretrained.trunk`."""
        attention_inputs = self._attention_inputs(
            input_ids, attention_mask, position_ids, segment_ids, None
        )
        return self._trunk(input_ids, attention_inputs, NO_DROPOUT)[0]

    def prefix_count(self) -> Int[Array, ""] | None:
        """Return the number of real vectors in a layer's learned prefix; None without one."""
        return prefix_count(self.variables.get("params", {}))

    def _prompt_length(self) -> int:
        return prompt_length(self.variables.get("params", {}))

    def _prepended_length(
        self, prefix: KeyValues | None, segment_ids: Int[Array, "B T"] | None
    ) -> int:
        """Return the number of vectors of a soft prompt that come before the tokens of rows.

        There are none with a prefix, whose keys and values already include those of the prompt, and
        none in packed rows, where the prompt's vectors are among the tokens.
        """
        return 0 if prefix is not None or segment_ids is not None else self._prompt_length()

    def _attention_inputs(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        segment_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> AttentionInputs:
        """Return the layers' inputs, with the soft prompt before the tokens if there is one."""
        require_segments(segment_ids, prefix)
        position_ids = self.text_positions(input_ids, attention_mask, position_ids, segment_ids)
        params, causal = self.variables.get("params", {}), self.config.is_decoder
        if segment_ids is not None:
            if prefix is None:
                position_ids = positions_after_prompt(params, input_ids, position_ids)
            mask = hide_padding(params, input_ids, attention_mask)
            attention_mask, position_ids = within_segments(
                mask, position_ids, segment_ids, prefix, causal=causal
            )
        elif self._prepended_length(prefix, segment_ids):
            prompt_mask = params["embeddings"]["word"]["prompt_mask"]
            attention_mask, position_ids = prepend_prompt(
                prompt_mask, attention_mask, position_ids, causal
            )
        return self.attention_inputs(attention_mask, position_ids, prefix)

    def _trunk(
        self, input_ids: Int[Array, "B T"], attention_inputs: AttentionInputs, dropout: Dropout
    ) -> tuple[Float[Array, "B S D"], Any]:
        """Run the embeddings and the section `layers`, and return its layers' outputs too."""
        positions, count = attention_inputs.positions, self.prefix_count()
        if count is not None:
            positions += count
        x = self.embeddings(input_ids, positions, dropout.within(_EMBEDDINGS))
        if self.is_initializing():
            self._initialise(x, attention_inputs)
        return self._run("layers", x, attention_inputs, dropout, first=0)

    def _initialise(self, x: Float[Array, "B T D"], attention_inputs: AttentionInputs) -> None:
        block = self.layer_type(self.config, parent=None)
        inputs = jax.tree.map(lambda each: each[0], attention_inputs.per_layer(0, 1))
        arguments = (x, *attention_inputs.arguments(inputs), NO_DROPOUT)
        stack = initialise_stack(self.make_rng("params"), block, self.config.num_layers, *arguments)
        self.put_variable("params", "layers", stack)

    def _run(
        self,
        section: str,
        x: Float[Array, "B T D"],
        attention_inputs: AttentionInputs,
        dropout: Dropout,
        first: int,
    ) -> tuple[Float[Array, "B T D"], Any]:
        """Run one section; return the activations after it and its layers' other outputs."""
        block = self.layer_type(self.config, parent=None)
        stack: Params = self.get_variable("params", section)

        def layer(params, x, number, inputs):
            arguments = attention_inputs.arguments(inputs)
            layer_dropout = dropout.within(number + jnp.uint32(self.drops_embeddings))
            return block.apply({"params": params}, x, *arguments, layer_dropout)

        return run_stack(layer, stack, x, first, attention_inputs.per_layer(first, depth(stack)))

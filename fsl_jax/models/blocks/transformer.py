"""What encoders and decoders have in common: embeddings, then a stack of layers in one or two."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.blocks.before_tokens import make_room, prefix_count, prompt_length
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout
from fsl_jax.models.blocks.stack import depth, initialise_stack, run_stack
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params

Mask = Bool[Array, "B T"] | Bool[Array, "B T S"]

_EMBEDDINGS = 0  # the number that dropout folds in of the embeddings, layers coming after them


@runtime_checkable
class AttentionInputs(Protocol):
    """What all layers of a model need beside the activations."""

    @property
    def positions(self) -> Int[Array, "B T"]:
        """Where the tokens stand."""

    def per_layer(self, first: int, layers: int) -> Any:
        """What differs between the layers of a section: a tree of arrays `[layers, ...]`."""

    def arguments(self, inputs: Any) -> tuple[Any, ...]:
        """What one layer is called with between activations and dropout, from its `inputs`."""


class Transformer(nn.Module):
    """Embeddings, then layers; its methods are those of `Pretrained`, which documents them.

    A family names its `embeddings`, which are called with tokens, positions and dropout, and its
    type of layer, which gives the activations and what else `output` needs of it.

    Attributes:
      config: the family's sizes.
      dtype: of the activations.
      layer_type: makes a layer from the config.
      drops_embeddings: whether the embeddings use their dropout, whose number is then before those
        of the layers.
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
        """What the layers see, from the arguments of `Pretrained.apply`."""
        raise NotImplementedError

    def output(
        self, x: Float[Array, "B T D"], attention_inputs: Any, given: list[Any], unembed: bool
    ) -> ModelOutput:
        """What comes of the last activations, and of what else the layers of each section gave."""
        raise NotImplementedError

    def __call__(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B S D"] | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """All layers, or those after the trunk. See `Pretrained.apply`."""
        # The prefix's keys and values have those of a soft prompt among them.
        room = 0 if prefix is not None else self._prompt_length()
        attention_inputs = self._attention_inputs(attention_mask, position_ids, prefix)
        x, given = trunk, []
        if x is None:
            x, lower = self._trunk(input_ids, attention_inputs, dropout)
            given.append(lower)
        if self.has_variable("params", "top_layers"):
            below = depth(self.get_variable("params", "layers"))
            x, upper = self._run("top_layers", x, attention_inputs, dropout, first=below)
            given.append(upper)
        return self.output(x[:, room:] if room else x, attention_inputs, given, unembed)

    def trunk(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        *,
        position_ids: Int[Array, "B T"] | None = None,
    ) -> Float[Array, "B S D"]:
        """Embeddings and `layers`. See `Pretrained.trunk`."""
        attention_inputs = self._attention_inputs(attention_mask, position_ids, None)
        return self._trunk(input_ids, attention_inputs, NO_DROPOUT)[0]

    def prefix_count(self) -> Int[Array, ""] | None:
        """How many vectors of a learned prefix stand before all tokens; None without one."""
        return prefix_count(self.variables.get("params", {}))

    def _prompt_length(self) -> int:
        return prompt_length(self.variables.get("params", {}))

    def _attention_inputs(
        self,
        attention_mask: Mask,
        position_ids: Int[Array, "B T"] | None,
        prefix: KeyValues | None,
    ) -> AttentionInputs:
        """What the layers see, with a soft prompt before the tokens where there is one."""
        if prefix is None and self._prompt_length():
            prompt_mask = self.variables["params"]["embeddings"]["word"]["prompt_mask"]
            causal = self.config.is_decoder
            room = make_room(prompt_mask, attention_mask, position_ids, causal)
            attention_mask, position_ids = room
        return self.attention_inputs(attention_mask, position_ids, prefix)

    def _trunk(
        self, input_ids: Int[Array, "B T"], attention_inputs: AttentionInputs, dropout: Dropout
    ) -> tuple[Float[Array, "B S D"], Any]:
        positions, before = attention_inputs.positions, self.prefix_count()
        if before is not None:
            positions += before
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
        name: str,
        x: Float[Array, "B T D"],
        attention_inputs: AttentionInputs,
        dropout: Dropout,
        first: int,
    ) -> tuple[Float[Array, "B T D"], Any]:
        """The activations after a section of the layers, and what else these give."""
        block = self.layer_type(self.config, parent=None)
        stack: Params = self.get_variable("params", name)

        def layer(params, x, number, inputs):
            arguments = attention_inputs.arguments(inputs)
            place = dropout.within(number + jnp.uint32(self.drops_embeddings))
            return block.apply({"params": params}, x, *arguments, place)

        return run_stack(layer, stack, x, first, attention_inputs.per_layer(first, depth(stack)))

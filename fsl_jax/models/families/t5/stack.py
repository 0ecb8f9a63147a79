"""The two stacks of layers of a T5 model: the encoder and the decoder."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.models.attention.attention import token_positions
from fsl_jax.models.attention.biased_attention import Source
from fsl_jax.models.attention.causal import CausalAttentionInputs
from fsl_jax.models.attention.relative_position import RelativePosition
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout, RMSNorm
from fsl_jax.models.blocks.prompt_positions import prefix_count, prefix_positions
from fsl_jax.models.blocks.stack import depth, initialise_stack, run_stack
from fsl_jax.models.families.t5.config import T5Config
from fsl_jax.models.families.t5.layers import StackInputs, T5Attention, T5Layer
from fsl_jax.models.outputs import KeyValues, Params

# The numbers that dropout folds into its key: 0 outside the layers, and from 1 on for the layers.
# Outside the layers there are two uses.
_AROUND = 0
_EMBEDDINGS, _HIDDEN = range(2)

Mask = Bool[Array, "B T"] | Bool[Array, "B T S"]


def _layers(inputs: Any, first: int, count: int) -> Any:
    """Return the inputs of the layers of a section, from a tree of arrays `[L, ...]`."""
    return jax.tree.map(lambda leaf: leaf[first : first + count], inputs)


def _joined(section_outputs: list[Any]) -> Any:
    """Return the outputs of all layers, `[L, ...]`, from those of the sections."""
    if len(section_outputs) == 1:
        return section_outputs[0]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *section_outputs)


def _positions_of(prefix: KeyValues) -> Int[Array, "_ P"]:
    if prefix.positions is not None:
        return prefix.positions
    return token_positions(prefix.mask, prefix.segment_ids)


class T5Stack(nn.Module):
    """The common base of the encoder and the decoder."""

    config: T5Config
    num_layers: int
    bidirectional: bool

    def setup(self):
        """Create the submodules."""
        sizes = self.config
        self.relative_position = RelativePosition(
            sizes.num_heads, sizes.num_buckets, sizes.max_distance, self.bidirectional
        )
        self.final_norm = RMSNorm(sizes.norm_epsilon)

    def _initialise(
        self, x: Float[Array, "B T D"], stack_inputs: StackInputs, encoded: Source | None
    ) -> None:
        block = T5Layer(self.config, parent=None)
        inputs = (x, stack_inputs, NO_DROPOUT, None, encoded)
        stack = initialise_stack(self.make_rng("params"), block, self.num_layers, *inputs)
        self.put_variable("params", "layers", stack)

    def _run(self, x: Float[Array, "B T D"], layer: Any, dropout: Dropout, inputs: Any) -> Any:
        """Return the hidden states after the final norm, and the other outputs of the layers."""
        around = dropout.within(_AROUND)

        def one(params, x, number, inputs):
            return layer(params, x, dropout.within(number + jnp.uint32(_AROUND + 1)), inputs)

        x, section_outputs, first = around(x, _EMBEDDINGS), [], 0
        for stack in self._sections():
            x, outputs = run_stack(one, stack, x, first, _layers(inputs, first, depth(stack)))
            section_outputs.append(outputs)
            first += depth(stack)
        return around(self.final_norm(x), _HIDDEN), _joined(section_outputs)

    def _sections(self) -> list[Params]:
        """Return the layers, which may be cut into two sections."""
        names = [name for name in ("layers", "top_layers") if self.has_variable("params", name)]
        return [self.get_variable("params", name) for name in names]


class T5Encoder(T5Stack):
    """The encoder, whose tokens see each other in both directions."""

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Mask,
        positions: Int[Array, "_ T"],
        dropout: Dropout,
    ) -> Float[Array, "B T D"]:
        """Return the hidden states after the final norm."""
        pairs = mask[:, None, :] if mask.ndim == 2 else mask
        stack_inputs = StackInputs(pairs, self.relative_position(positions, positions))
        if self.is_initializing():
            self._initialise(x, stack_inputs, None)
        block = T5Layer(self.config, parent=None)

        def layer(params, x, dropout, _):
            return block.apply({"params": params}, x, stack_inputs, dropout)[0], None

        return self._run(x, layer, dropout, None)[0]


class T5Decoder(T5Stack):
    """The decoder, whose tokens see the tokens before them and all tokens of the encoder."""

    def __call__(
        self,
        x: Float[Array, "B T D"],
        attention_inputs: CausalAttentionInputs,
        positions: Int[Array, "_ T"],
        encoded: KeyValues,
        encoded_mask: Bool[Array, "_ Q S"],
        dropout: Dropout,
    ) -> tuple[Float[Array, "B T D"], KeyValues]:
        """Return the hidden states after the final norm, and the keys and values."""
        stack_inputs = self._stack_inputs(attention_inputs, positions)
        block = T5Layer(self.config, parent=None)

        def layer(params, x, dropout, inputs):
            prefix, (keys, values) = inputs
            source = Source(keys, values, encoded_mask)
            return block.apply({"params": params}, x, stack_inputs, dropout, prefix, source)

        inputs = (attention_inputs.per_layer(0, self.num_layers), (encoded.keys, encoded.values))
        hidden, (keys, values) = self._run(x, layer, dropout, inputs)
        return hidden, KeyValues(keys, values, attention_inputs.real, attention_inputs.positions)

    def key_values(self, hidden: Float[Array, "B S D"], real: Bool[Array, "B S"]) -> KeyValues:
        """Return the keys and values of an encoder's hidden states, for cross-attention."""
        if self.is_initializing():
            self._initialise_with(hidden)
        attention = T5Attention(self.config, parent=None)

        def layer(params, x, number, _):
            return x, attention.apply({"params": params}, x, method="key_values")

        projections = [
            {name: stack["cross_attention"][name] for name in ("key", "value")}
            for stack in self._sections()
        ]
        keys, values = _joined([run_stack(layer, section, hidden)[1] for section in projections])
        return KeyValues(keys, values, real)

    def _stack_inputs(
        self, attention_inputs: CausalAttentionInputs, positions: Int[Array, "_ T"]
    ) -> StackInputs:
        length = attention_inputs.mask.shape[1]
        bias = self.relative_position(positions, positions)
        learned = self._learned_bias(positions)
        if attention_inputs.prefix is None:
            return StackInputs(attention_inputs.mask, bias, learned_bias=learned)
        before = self.relative_position(
            attention_inputs.positions, _positions_of(attention_inputs.prefix)
        )
        return StackInputs(
            attention_inputs.mask[..., -length:],
            bias,
            attention_inputs.mask[..., :-length],
            before,
            learned,
        )

    def _learned_bias(self, positions: Int[Array, "_ T"]) -> Float[Array, "_ H T P"] | None:
        """Return the bias of a learned prefix, which comes before all tokens."""
        params: Any = self.variables.get("params", {})
        before, count = prefix_positions(params), prefix_count(params)
        if before is None or count is None:
            return None
        return self.relative_position(positions + count, before)

    def _initialise_with(self, hidden: Float[Array, "B S D"]) -> None:
        positions = jnp.zeros((1, hidden.shape[1]), jnp.int32)
        mask = jnp.ones((1, 1, hidden.shape[1]), bool)
        heads = jnp.zeros((*hidden.shape[:2], self.config.num_heads, self.config.head_dim))
        stack_inputs = StackInputs(mask, self.relative_position(positions, positions))
        self._initialise(hidden, stack_inputs, Source(heads, heads, mask))

"""T5 encoder-decoders (https://arxiv.org/abs/1910.10683), T5 1.1, FLAN-T5 and mT5."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import require_positions, token_positions
from fsl_jax.models.attention.biased_attention import Source
from fsl_jax.models.attention.causal import CausalAttentionInputs, causal_attention_inputs
from fsl_jax.models.attention.relative_position import RelativePosition
from fsl_jax.models.blocks.before_tokens import (
    make_room,
    prefix_count,
    prefix_places,
    prompt_length,
)
from fsl_jax.models.blocks.layers import NO_DROPOUT, Dropout, Embedding, RMSNorm, Unembedding
from fsl_jax.models.blocks.stack import depth, initialise_stack, run_stack
from fsl_jax.models.families.t5.layers import StackInputs, T5Attention, T5Config, T5Layer
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params

# The numbers that dropout folds in, of the stacks, and in a stack of what is around its layers.
_ENCODER, _DECODER = range(2)
_AROUND = 0
_EMBEDDINGS, _HIDDEN = range(2)

Mask = Bool[Array, "B T"] | Bool[Array, "B T S"]


def _places(mask: Mask, position_ids: Int[Array, "B T"] | None) -> Int[Array, "_ T"]:
    """Where tokens are, as far as distances go: those of all rows at once unless they are given."""
    if position_ids is not None:
        return position_ids
    require_positions(mask)
    return jnp.arange(mask.shape[1], dtype=jnp.int32)[None]


def _layers(inputs: Any, first: int, count: int) -> Any:
    """What the layers of a section get, of a tree of arrays `[L, ...]`."""
    return jax.tree.map(lambda leaf: leaf[first : first + count], inputs)


def _joined(given: list[Any]) -> Any:
    """What the layers of all sections gave, `[L, ...]`."""
    if len(given) == 1:
        return given[0]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *given)


def _prefix_places(prefix: KeyValues) -> Int[Array, "_ P"]:
    return token_positions(prefix.mask) if prefix.positions is None else prefix.positions


class T5Stack(nn.Module):
    """What the encoder and the decoder have in common."""

    config: T5Config
    num_layers: int
    bidirectional: bool

    def setup(self):
        """Names the parts."""
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
        """The hidden states after the final norm, and what the layers give beside them."""
        around = dropout.within(_AROUND)

        def one(params, x, number, inputs):
            return layer(params, x, dropout.within(number + jnp.uint32(_AROUND + 1)), inputs)

        x, given, first = around(x, _EMBEDDINGS), [], 0
        for stack in self._segments():
            x, outputs = run_stack(one, stack, x, first, _layers(inputs, first, depth(stack)))
            given.append(outputs)
            first += depth(stack)
        return around(self.final_norm(x), _HIDDEN), _joined(given)

    def _segments(self) -> list[Params]:
        """The stack of layers, which may be cut in two."""
        names = [name for name in ("layers", "top_layers") if self.has_variable("params", name)]
        return [self.get_variable("params", name) for name in names]


class T5Encoder(T5Stack):
    """The encoder, whose tokens see each other both ways."""

    def __call__(
        self,
        x: Float[Array, "B T D"],
        mask: Mask,
        places: Int[Array, "_ T"],
        dropout: Dropout,
    ) -> Float[Array, "B T D"]:
        """The hidden states of tokens after the final norm."""
        pairs = mask[:, None, :] if mask.ndim == 2 else mask
        stack_inputs = StackInputs(pairs, self.relative_position(places, places))
        if self.is_initializing():
            self._initialise(x, stack_inputs, None)
        block = T5Layer(self.config, parent=None)

        def layer(params, x, dropout, _):
            return block.apply({"params": params}, x, stack_inputs, dropout)[0], None

        return self._run(x, layer, dropout, None)[0]


class T5Decoder(T5Stack):
    """The decoder, whose tokens see those before them, and all of the encoder's."""

    def __call__(
        self,
        x: Float[Array, "B T D"],
        attention_inputs: CausalAttentionInputs,
        places: Int[Array, "_ T"],
        encoded: KeyValues,
        dropout: Dropout,
    ) -> tuple[Float[Array, "B T D"], KeyValues]:
        """The hidden states of tokens after the final norm, and their keys and values."""
        stack_inputs = self._stack_inputs(attention_inputs, places)
        encoded_mask = encoded.mask[:, None, :]
        block = T5Layer(self.config, parent=None)

        def layer(params, x, dropout, inputs):
            prefix, (keys, values) = inputs
            source = Source(keys, values, encoded_mask)
            return block.apply({"params": params}, x, stack_inputs, dropout, prefix, source)

        inputs = (attention_inputs.per_layer(0, self.num_layers), (encoded.keys, encoded.values))
        hidden, (keys, values) = self._run(x, layer, dropout, inputs)
        return hidden, KeyValues(keys, values, attention_inputs.real, attention_inputs.positions)

    def key_values(self, hidden: Float[Array, "B S D"], real: Bool[Array, "B S"]) -> KeyValues:
        """What all layers attend to of an encoder's hidden states."""
        if self.is_initializing():
            self._initialise_with(hidden)
        attention = T5Attention(self.config, parent=None)

        def layer(params, x, number, _):
            return x, attention.apply({"params": params}, x, method="key_values")

        read = [
            {name: stack["cross_attention"][name] for name in ("key", "value")}
            for stack in self._segments()
        ]
        keys, values = _joined([run_stack(layer, each, hidden)[1] for each in read])
        return KeyValues(keys, values, real)

    def _stack_inputs(
        self, attention_inputs: CausalAttentionInputs, places: Int[Array, "_ T"]
    ) -> StackInputs:
        length = attention_inputs.mask.shape[1]
        own = self.relative_position(places, places)
        learned = self._learned_bias(places)
        if attention_inputs.prefix is None:
            return StackInputs(attention_inputs.mask, own, learned_bias=learned)
        before = self.relative_position(
            attention_inputs.positions, _prefix_places(attention_inputs.prefix)
        )
        return StackInputs(
            attention_inputs.mask[..., -length:],
            own,
            attention_inputs.mask[..., :-length],
            before,
            learned,
        )

    def _learned_bias(self, places: Int[Array, "_ T"]) -> Float[Array, "_ H T P"] | None:
        """The bias of tokens that look at a learned prefix, which stands before all of them."""
        params: Any = self.variables.get("params", {})
        before, count = prefix_places(params), prefix_count(params)
        if before is None or count is None:
            return None
        return self.relative_position(places + count, before)

    def _initialise_with(self, hidden: Float[Array, "B S D"]) -> None:
        positions = jnp.zeros((1, hidden.shape[1]), jnp.int32)
        mask = jnp.ones((1, 1, hidden.shape[1]), bool)
        heads = jnp.zeros((*hidden.shape[:2], self.config.num_heads, self.config.head_dim))
        stack_inputs = StackInputs(mask, self.relative_position(positions, positions))
        self._initialise(hidden, stack_inputs, Source(heads, heads, mask))


class T5Embeddings(nn.Module):
    """The word embedding; positions come in as a bias of attention."""

    config: T5Config
    dtype: jnp.dtype

    def setup(self):
        """Names the parts."""
        self.word = Embedding(self.config.vocab_size, self.config.hidden_size, self.dtype)

    def __call__(
        self, input_ids: Int[Array, "B T"], length: int | None = None
    ) -> Float[Array, "B S D"]:
        """Embeds tokens `[B, T]`; where the length is more, a soft prompt comes before them."""
        return self.word(input_ids, length)


class T5(nn.Module):
    """The encoder-decoder; its methods are those of `Pretrained`, which documents them.

    How far apart two tokens are is counted in columns, padding and all, as in transformers, unless
    position_ids are given or there is a prefix. A soft prompt stands before the encoder's tokens;
    the decoder sees it, and `encoder_hidden` is of the tokens alone.
    """

    config: T5Config
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Names the parts."""
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
        decodes: bool = True,
        position_ids: Int[Array, "B S"] | None = None,
        prefix: KeyValues | None = None,
        trunk: Array | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """Encoder and decoder, or the encoder alone. See `Pretrained.apply`."""
        if prefix is not None or trunk is not None:
            raise InputError(
                "an encoder-decoder takes no prefix and no trunk here: give a prefix of decoder "
                "tokens to `decode`."
            )
        if not decodes:
            hidden, _ = self._hidden(input_ids, attention_mask, position_ids, dropout)
            hidden = self._of_tokens(hidden)
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
        hidden, encoded = self._encode(input_ids, attention_mask, position_ids, dropout)
        output = self.decode(
            decoder_input_ids,
            decoder_attention_mask,
            encoded,
            position_ids=decoder_position_ids,
            dropout=dropout,
            unembed=unembed,
        )
        own = self._of_tokens(hidden)
        return ModelOutput(output.hidden, output.logits, output.key_values, own)

    def encode(
        self,
        input_ids: Int[Array, "B S"],
        attention_mask: Bool[Array, "B S"] | Bool[Array, "B S S"],
        *,
        position_ids: Int[Array, "B S"] | None = None,
    ) -> KeyValues:
        """The keys and values of the encoder's tokens. See `Pretrained.encode`."""
        return self._encode(input_ids, attention_mask, position_ids, NO_DROPOUT)[1]

    def decode(
        self,
        input_ids: Int[Array, "B T"],
        attention_mask: Mask,
        encoded: KeyValues,
        *,
        position_ids: Int[Array, "B T"] | None = None,
        prefix: KeyValues | None = None,
        dropout: Dropout = NO_DROPOUT,
        unembed: bool = True,
    ) -> ModelOutput:
        """The decoder alone. See `Pretrained.decode`."""
        attention_inputs = causal_attention_inputs(attention_mask, position_ids, prefix)
        counted = attention_inputs.positions if prefix is not None else None
        places = _places(attention_mask, counted if position_ids is None else position_ids)
        x = self.embeddings(input_ids)
        hidden, pairs = self.decoder(x, attention_inputs, places, encoded, dropout.within(_DECODER))
        return ModelOutput(hidden, self.unembed(hidden) if unembed else None, pairs)

    def unembed(
        self, hidden: Float[Array, "*batch D"], token_ids: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch n"]:
        """Logits of all tokens or of some. See `Pretrained.unembed`."""
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
        dropout: Dropout,
    ) -> tuple[Float[Array, "B PS D"], Bool[Array, "B PS"] | Bool[Array, "B PS PS"]]:
        """The encoder's hidden states, those of a soft prompt before the tokens', and the mask."""
        places: Any = _places(mask, position_ids)
        if self._prompt_length():
            prompt_mask = self.variables["params"]["embeddings"]["word"]["prompt_mask"]
            mask, places = make_room(prompt_mask, mask, places, causal=False)
        x = self.embeddings(input_ids, mask.shape[-1])
        return self.encoder(x, mask, places, dropout.within(_ENCODER)), mask

    def _of_tokens(self, hidden: Float[Array, "B PS D"]) -> Float[Array, "B S D"]:
        """The hidden states of the encoder's tokens, without those of a soft prompt."""
        return hidden[:, self._prompt_length() :]

    def _prompt_length(self) -> int:
        return prompt_length(self.variables.get("params", {}))

    def _encode(
        self,
        input_ids: Int[Array, "B S"],
        mask: Bool[Array, "B S"] | Bool[Array, "B S S"],
        position_ids: Int[Array, "B S"] | None,
        dropout: Dropout,
    ) -> tuple[Float[Array, "B PS D"], KeyValues]:
        hidden, mask = self._hidden(input_ids, mask, position_ids, dropout)
        real = mask if mask.ndim == 2 else jnp.any(mask, axis=1)
        return hidden, self.decoder.key_values(hidden, real)

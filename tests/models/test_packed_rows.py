"""Every family reads the texts of packed rows as if each had a row of its own."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.parts.learned_prefix import prefix_shapes, with_leaves
from fsl_jax.adapt.parts.soft_prompt import with_word_leaves
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import append_suffix, prompt_token_ids
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.heads import head_shapes
from fsl_jax.models.blocks.pooling import TextEnd
from fsl_jax.models.blocks.sections import cut_sections
from fsl_jax.models.blocks.suffix_tokens import suffix_tokens
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import FAMILIES

LENGTHS = (9, 3, 6, 4, 1)
ROWS = ((3, 0, 2), (4, 1))
# Longer than the tiny models' longest text, which is no limit of packed rows.
LENGTH, LONGEST, SLOTS = 34, 9, 3
RANDOM = np.random.default_rng(0)
# The token 1 is RoBERTa's padding, which stands inside of texts here.
TEXTS = [RANDOM.integers(1, 8, size, dtype=np.int32) for size in LENGTHS]
ANSWERS = RANDOM.integers(2, 64, (len(TEXTS), 2), dtype=np.int32)

SIZES = {"vocab_size": 64, "hidden_size": 16, "mlp_size": 24, "num_layers": 2, "num_heads": 4}
CONFIGS = {
    "roberta": BertConfig(**SIZES, max_length=32, first_position=2, family="roberta"),
    "distilbert": BertConfig(**SIZES, max_length=32, num_token_types=0, family="distilbert"),
    "gemma3_text": LlamaConfig(
        **SIZES,
        max_length=32,
        num_kv_heads=2,
        head_dim=4,
        window=4,
        sliding=(True, False),
        local_rope_theta=100.0,
        query_key_norm=True,
        family="gemma3_text",
    ),
}
CONFIGS["mistral"] = dataclasses.replace(
    CONFIGS["gemma3_text"],
    sliding=(True, True),
    local_rope_theta=None,
    query_key_norm=False,
    family="mistral",
)


@pytest.fixture(scope="module")
def model(tiny_bases, build_tiny):
    """A tiny model by the name of its family."""
    return lambda name: tiny_bases[name] if name in tiny_bases else build_tiny(CONFIGS[name])


def normal(*shape):
    return jnp.asarray(RANDOM.normal(size=shape), jnp.float32)


def with_prompt(params, name="prompt", mask=(1, 1, 0)):
    """The parameters with a soft prompt or a suffix, of which a vector is padding."""
    width = params["embeddings"]["word"]["embedding"].shape[1]
    leaves = {name: normal(len(mask), width), f"{name}_mask": jnp.array(mask, jnp.float32)}
    return with_word_leaves(params, leaves)


def with_prefix(params):
    """The parameters with a learned prefix, of which a vector is padding."""
    leaves = {
        stack: {
            "prefix_key": normal(layers, 3, width),
            "prefix_value": normal(layers, 3, width),
            "prefix_mask": jnp.array([[1.0, 0, 1]] * layers),
        }
        for stack, (layers, width) in prefix_shapes(params, "a prefix").items()
    }
    return with_leaves(params, leaves)


@dataclasses.dataclass(frozen=True)
class Packed:
    """Texts in packed rows, and where the tokens of each text are, counted over all rows."""

    ids: np.ndarray
    segments: np.ndarray
    places: list[np.ndarray]

    def inputs(self):
        return self.ids, self.segments > 0

    def of_texts(self, hidden):
        """The hidden states of all texts, one after the other."""
        flat = hidden.reshape(-1, hidden.shape[-1])
        return jnp.concatenate([flat[places] for places in self.places])


def pack(texts, length=LENGTH, before=()):
    """Put texts into rows, each after the tokens `before`; padding is between them too."""
    ids, segments = np.zeros((2, len(ROWS), length), np.int32)
    places = [np.zeros(0)] * len(texts)
    for row, numbers in enumerate(ROWS):
        end = 0
        for number in numbers:
            tokens = np.concatenate([np.asarray(before, np.int32), texts[number]])
            begin, end = end, end + len(tokens)
            ids[row, begin:end], segments[row, begin:end] = tokens, number + 1
            places[number] = row * length + np.arange(begin + len(before), end)
    return Packed(ids, segments, places)


def alone(texts, length):
    """Put each text into a row of its own."""
    ids, mask = np.zeros((len(texts), length), np.int32), np.zeros((len(texts), length), bool)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, True
    return ids, mask


ALONE = alone(TEXTS, LONGEST)


def in_slots(tokens, width):
    """The tokens of each text in the slots of packed rows."""
    return pack(list(tokens), SLOTS * width)


def packed_hidden(base, params, packed):
    """The hidden states of texts in packed rows, those of the decoder last."""
    options = {"segment_ids": packed.segments, "unembed": False}
    if not base.config.is_encoder_decoder:
        return packed.of_texts(base.apply(params, *packed.inputs(), **options).hidden)
    answers = in_slots(ANSWERS, 2)
    options |= {"decoder_input_ids": answers.ids, "decoder_segment_ids": answers.segments}
    output = base.apply(params, *packed.inputs(), **options)
    encoded, decoded = packed.of_texts(output.encoder_hidden), answers.of_texts(output.hidden)
    return jnp.concatenate([encoded, decoded])


def hidden_alone(base, params):
    """The hidden states of texts that have a row each, those of the decoder last."""
    if not base.config.is_encoder_decoder:
        return base.apply(params, *ALONE, unembed=False).hidden[ALONE[1]]
    output = base.apply(params, *ALONE, decoder_input_ids=ANSWERS, unembed=False)
    decoded = output.hidden.reshape(-1, output.hidden.shape[-1])
    return jnp.concatenate([output.encoder_hidden[ALONE[1]], decoded])


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "mistral", "t5"])
def test_texts_are_read_as_if_they_were_alone(model, family):
    base = model(family)
    found = jax.jit(lambda params: packed_hidden(base, params, pack(TEXTS)))(base.params)
    assert_close(found, jax.jit(lambda params: hidden_alone(base, params))(base.params))


@pytest.mark.parametrize("family", ["roberta", "distilbert", "gpt2", "gemma2", "gemma3_text"])
def test_texts_have_their_own_soft_prompt_and_the_learned_prefix_of_all(model, family):
    base = model(family)
    params = with_prefix(with_prompt(base.params))
    packed = pack(TEXTS, before=prompt_token_ids(params))
    found = jax.jit(lambda params: packed_hidden(base, params, packed))(params)
    assert_close(found, jax.jit(lambda params: hidden_alone(base, params))(params))


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_gradients_are_those_of_texts_alone(model, family):
    base = model(family)
    params = with_prefix(with_prompt(base.params))
    packed = pack(TEXTS, before=prompt_token_ids(params))

    def with_gradients(hidden):
        def total(params):
            found = hidden(params)
            direction = jax.random.normal(jax.random.key(0), found.shape)
            return jnp.sum(found * direction), found

        return jax.jit(jax.value_and_grad(total, has_aux=True))(params)

    (_, found), gradients = with_gradients(lambda params: packed_hidden(base, params, packed))
    (_, expected), of_alone = with_gradients(lambda params: hidden_alone(base, params))
    assert_close(found, expected)
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(of_alone))
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * largest),
        gradients,
        of_alone,
    )


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_a_suffix_in_slots_goes_on_from_its_own_text(model, family):
    base = model(family)
    params = with_prompt(with_prompt(base.params), "suffix", (1, 1, 0, 1))
    packed = pack(TEXTS, before=prompt_token_ids(params))
    slots = in_slots(np.tile(suffix_tokens(params, 1)[0], (len(TEXTS), 1)), 4)

    @jax.jit
    def found(params):
        options = {"unembed": False, "segment_ids": packed.segments}
        states = base.apply(params, *packed.inputs(), **options).key_values
        options |= {"segment_ids": slots.segments, "prefix": states}
        return slots.of_texts(base.apply(params, *slots.inputs(), **options).hidden)

    @jax.jit
    def expected(params):
        ids, mask = append_suffix(params, *ALONE)
        return base.apply(params, ids, mask, unembed=False).hidden[:, LONGEST:]

    real = np.array([True, True, False, True])
    by_text = found(params).reshape(len(TEXTS), 4, -1)
    assert_close(by_text[:, real], expected(params)[:, real])


WORDS = np.array([[11, 12], [21, 22]], np.int32)


def pairs_with_words(packed):
    """The mask and the positions of rows in which words stand side by side after each text."""
    same = packed.segments[:, :, None] == packed.segments[:, None, :]
    pairs = np.tril(same & (packed.segments > 0)[:, None, :])
    positions = np.zeros_like(packed.segments)
    for text, places in zip(TEXTS, packed.places, strict=True):
        row, columns = places[0] // packed.ids.shape[1], places % packed.ids.shape[1]
        first, second = columns[len(text) :].reshape(2, 2)
        pairs[row, second[:, None], first] = False
        positions[row, columns[: len(text)]] = np.arange(len(text))
        positions[row, first] = positions[row, second] = len(text) + np.arange(2)
    return pairs, positions


def test_label_words_side_by_side_see_their_text_and_themselves(model):
    base = model("gemma2")
    params = with_prompt(base.params)
    texts = [np.concatenate([text, *WORDS]) for text in TEXTS]
    packed = pack(texts, LENGTH + 8, before=prompt_token_ids(params))
    pairs, positions = pairs_with_words(packed)
    one_word = [np.concatenate([text, word]) for text in TEXTS for word in WORDS]
    ids, mask = alone(one_word, LONGEST + 2)

    @jax.jit
    def read(params):
        options = {"position_ids": positions, "segment_ids": packed.segments}
        return (
            packed.of_texts(base.apply(params, packed.ids, pairs, **options).hidden),
            base.apply(params, ids, mask).hidden,
        )

    found, expected = read(params)
    ends = np.cumsum([len(text) for text in texts])
    after = [
        np.concatenate([row[len(text) : len(text) + 2] for row in rows])
        for text, rows in zip(TEXTS, expected.reshape(len(TEXTS), 2, LONGEST + 2, -1), strict=True)
    ]
    assert_close(np.stack([found[end - 4 : end] for end in ends]), np.stack(after))


def test_a_shared_prefix_comes_before_every_segment(model):
    base = model("gemma2")
    before = np.array([[3, 0, 5, 6]], np.int32)
    packed, options = pack(TEXTS), {"unembed": False}

    @jax.jit
    def read(params):
        prefix = base.apply(params, before, before > 0, **options).key_values
        segments = {"segment_ids": packed.segments}
        found = base.apply(params, *packed.inputs(), prefix=prefix, **segments, **options)
        expected = base.apply(params, *ALONE, prefix=prefix, **options)
        return packed.of_texts(found.hidden), expected.hidden[ALONE[1]]

    assert_close(*read(base.params))


def test_the_trunk_of_packed_rows_takes_the_place_of_the_layers_below(model):
    base = model("bert")
    params = cut_sections(with_prompt(base.params), 1)
    packed = pack(TEXTS, before=prompt_token_ids(params))

    @jax.jit
    def read(params):
        trunk = base.trunk(params, *packed.inputs(), segment_ids=packed.segments)
        inputs = packed.inputs()
        whole = base.apply(params, *inputs, segment_ids=packed.segments)
        upper = base.apply(params, *inputs, segment_ids=packed.segments, trunk=trunk)
        return upper.hidden, whole.hidden

    assert_close(*read(params))


def with_head(base, text_end):
    """A model with a head that classifies texts."""
    config = base.config
    shapes = head_shapes(config, SEQUENCE_CLASSIFICATION, FAMILIES[config.family].classifier, 3)
    leaves = {path: normal(*shape) for path, shape in shapes.items()}
    params = unflatten(flatten(base.params) | leaves)
    head = {"head": SEQUENCE_CLASSIFICATION, "labels": ("a", "b", "c")}
    return dataclasses.replace(base, params=params, text_end=text_end, **head)


@pytest.mark.parametrize(
    ("family", "end"),
    [("bert", TextEnd()), ("gpt2", TextEnd(padding=1)), ("t5", TextEnd(end=3))],
)
def test_texts_are_classified_as_if_they_were_alone(model, family, end):
    base = with_head(model(family), end)
    params = with_prompt(base.params)
    packed = pack(TEXTS, before=prompt_token_ids(params))
    members = np.stack([np.isin(np.arange(packed.ids.size), each) for each in packed.places])
    dropped = {"dropout": 0.5, "key": jax.random.key(1)}

    @jax.jit
    def read(params):
        segments = {"segment_ids": packed.segments}
        hidden = base.apply(params, *packed.inputs(), **segments, unembed=False).hidden
        found = [
            base.classify(params, hidden, members, packed.ids, **options)
            for options in ({}, dropped)
        ]
        return found, base.apply(params, *ALONE).logits

    (found, varied), expected = read(params)
    assert_close(found, expected)
    drops = FAMILIES[base.config.family].classifier.drops
    assert bool(jnp.any(jnp.abs(varied - found) > 1e-3)) == drops


def test_what_heads_cannot_do_with_packed_rows_says_what_does(model):
    base = with_head(model("bert"), TextEnd())
    packed = pack(TEXTS)
    with pytest.raises(InputError, match=r"pools whole rows.*`classify`"):
        base.apply(base.params, *packed.inputs(), segment_ids=packed.segments)
    plain = model("bert")
    members = np.ones((1, packed.ids.size), bool)
    with pytest.raises(InputError, match="load it with head='sequence_classification'"):
        plain.classify(plain.params, jnp.zeros((*packed.ids.shape, 16)), members, packed.ids)


def test_tokens_of_a_soft_prompt_are_for_packed_rows_alone(model):
    base = model("bert")
    params = with_prompt(base.params)
    packed = pack(TEXTS, before=prompt_token_ids(params))
    with pytest.raises(InputError, match=r"34 tokens and the 3 before them are more than"):
        base.apply(params, *packed.inputs())
    with pytest.raises(InputError, match=r"64 rows of tokens, and was given the token id 64\."):
        base.apply(params, packed.ids[:, :8], packed.segments[:, :8] > 0)


def test_a_decoder_needs_the_segments_that_its_encoder_has(model):
    base, packed = model("t5"), pack(TEXTS)
    with pytest.raises(InputError, match="segment_ids are missing"):
        base.apply(
            base.params,
            *packed.inputs(),
            segment_ids=packed.segments,
            decoder_input_ids=np.zeros((2, 4), np.int32),
        )

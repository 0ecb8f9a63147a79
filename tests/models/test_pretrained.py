"""Properties that the models of all families share."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.outputs import KeyValues
from fsl_jax.models.pretrained import Pretrained

KEY = jax.random.key(5)


@functools.cache
def jitted(model):
    """`model.apply`, compiled once for all tests that give it the same shapes."""
    return jax.jit(model.apply, static_argnames=("dropout", "unembed"))


def apply(model, *arguments, **options):
    """Runs a model."""
    return jitted(model)(*arguments, **options)


def cut(params, top):
    """The parameters with the `top` upper layers in a section of their own."""
    below = jax.tree.map(lambda leaf: leaf[: leaf.shape[0] - top], params["layers"])
    above = jax.tree.map(lambda leaf: leaf[leaf.shape[0] - top :], params["layers"])
    return {**params, "layers": below, "top_layers": above}


def with_lora(params, runs=None, rank=2):
    """The parameters with random LoRA leaves beside query and value, perhaps for several runs."""
    lead = () if runs is None else (runs,)
    attention = dict(params["layers"]["attention"])
    for name in ("query", "value"):
        layers, width, out = attention[name]["kernel"].shape
        attention[name] = {
            **attention[name],
            "lora_a": 0.1 * jax.random.normal(KEY, (*lead, layers, width, rank)),
            "lora_b": 0.1 * jax.random.normal(KEY, (*lead, layers, rank, out)),
            "lora_scale": jnp.full((*lead, layers), 2.0),
        }
    return {**params, "layers": {**params["layers"], "attention": attention}}


def axes_of(params):
    """`vmap`'s axes: LoRA leaves are mapped, all others are not."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: 0 if "lora" in path[-1].key else None, params
    )


def test_tokens_that_share_positions_are_limited_by_the_positions(tiny):
    ids, positions = np.zeros((1, 30), np.int32), np.full((1, 30), 24, np.int32)
    with pytest.raises(InputError, match=r"25 tokens are more than .* 24\."):
        tiny.apply(tiny.params, ids, np.ones((1, 30, 30), bool), position_ids=positions)
    with pytest.raises(InputError, match=r"30 tokens are more than .* 24\."):
        tiny.apply(tiny.params, ids, np.ones((1, 30), bool), position_ids=positions - 1)


@pytest.mark.parametrize(("top", "dropout"), [(1, 0.2), (3, 0.0), (0, 0.0)])
def test_a_model_in_two_segments_is_the_same_model(tiny, tokens, top, dropout):
    whole = apply(tiny, tiny.params, *tokens, dropout=dropout, key=KEY)
    sections = apply(tiny, cut(tiny.params, top), *tokens, dropout=dropout, key=KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), whole, sections)


@pytest.mark.parametrize("top", [1, 3])
def test_what_the_trunk_gives_takes_the_place_of_the_layers_below(tiny, tokens, top):
    params = cut(tiny.params, top)
    trunk = tiny.trunk(params, *tokens)
    rest = {**params, "layers": jax.tree.map(jnp.zeros_like, params["layers"])}
    output = apply(tiny, rest, *tokens, trunk=trunk)
    expected = apply(tiny, tiny.params, *tokens)
    np.testing.assert_allclose(output.hidden, expected.hidden, atol=2e-5)


def test_the_trunk_keeps_dropout_above_it(tiny, tokens):
    params = cut(tiny.params, 1)
    trunk = tiny.trunk(params, *tokens)
    dropped = apply(tiny, params, *tokens, trunk=trunk, dropout=0.5, key=KEY).hidden
    assert jnp.any(jnp.abs(dropped - apply(tiny, params, *tokens).hidden) > 0.01)


def test_padding_on_the_left_or_right_changes_nothing(tiny, tokens):
    ids, mask = tokens
    lengths = mask.sum(axis=1)
    shifts = ids.shape[1] - lengths
    left_ids, left_mask = (
        np.stack([np.roll(row, shift) for row, shift in zip(rows, shifts, strict=True)])
        for rows in (ids, mask)
    )
    right = apply(tiny, tiny.params, ids, mask).hidden
    left = apply(tiny, tiny.params, left_ids, left_mask).hidden
    np.testing.assert_allclose(right[mask], left[left_mask], atol=2e-5)
    alone = apply(tiny, tiny.params, ids[1:2, : lengths[1]], mask[1:2, : lengths[1]]).hidden
    np.testing.assert_allclose(right[1, : lengths[1]], alone[0], atol=2e-5)


def test_rows_of_padding_alone_are_finite_and_so_are_gradients(tiny):
    ids, mask = jnp.zeros((2, 4), jnp.int32), jnp.zeros((2, 4), bool)

    def total(params):
        return jnp.sum(apply(tiny, params, ids, mask).hidden ** 2)

    value, gradients = jax.value_and_grad(total)(tiny.params)
    assert jnp.isfinite(value)
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))


def test_lora_leaves_are_the_same_as_their_product_in_the_kernel(tiny, tokens):
    adapted = with_lora(tiny.params)
    merged = jax.tree.map(jnp.copy, tiny.params)
    for name in ("query", "value"):
        leaves = adapted["layers"]["attention"][name]
        scale = leaves["lora_scale"][:, None, None]
        merged["layers"]["attention"][name]["kernel"] += scale * leaves["lora_a"] @ leaves["lora_b"]
    expected = apply(tiny, merged, *tokens).hidden
    np.testing.assert_allclose(apply(tiny, adapted, *tokens).hidden, expected, atol=2e-5)
    assert jnp.any(jnp.abs(expected - apply(tiny, tiny.params, *tokens).hidden) > 0.01)


def test_stacked_runs_give_what_each_gives_alone(tiny, tokens):
    params = with_lora(tiny.params, runs=3)
    keys = jax.random.split(KEY, 3)

    def hidden(params, key):
        return apply(tiny, params, *tokens, dropout=0.1, key=key).hidden

    stacked = jax.vmap(hidden, in_axes=(axes_of(params), 0))(params, keys)
    for run in range(3):
        alone = jax.tree_util.tree_map_with_path(
            lambda path, leaf, run=run: leaf[run] if "lora" in path[-1].key else leaf, params
        )
        np.testing.assert_allclose(stacked[run], hidden(alone, keys[run]), atol=2e-5)


def test_entries_that_are_not_the_models_are_not_read(tiny, tokens):
    with_head = {**tiny.params, "head": {"kernel": jnp.full((32, 2), jnp.nan)}}
    np.testing.assert_array_equal(
        apply(tiny, with_head, *tokens).hidden, apply(tiny, tiny.params, *tokens).hidden
    )


def test_dropout_changes_with_its_key_alone(tiny, tokens):
    def hidden(key):
        return apply(tiny, tiny.params, *tokens, dropout=0.3, key=key).hidden

    np.testing.assert_array_equal(hidden(KEY), hidden(KEY))
    assert jnp.any(hidden(KEY) != hidden(jax.random.key(6)))


def test_dropout_without_a_key_is_an_error(tiny, tokens):
    with pytest.raises(InputError, match="needs a key"):
        apply(tiny, tiny.params, *tokens, dropout=0.1)


def test_more_tokens_than_the_model_reads_are_an_error(tiny):
    ids, mask = jnp.zeros((1, 25), jnp.int32), jnp.ones((1, 25), bool)
    for call in (tiny.apply, tiny.trunk):
        with pytest.raises(InputError, match=r"25 tokens are more than .* 24\."):
            call(tiny.params, ids, mask)


def test_a_mask_of_pairs_says_what_each_token_sees(tiny, tokens):
    ids, _ = tokens
    real = jnp.ones((3, 7), bool)
    positions = jnp.tile(jnp.arange(7, dtype=jnp.int32)[None], (3, 1))
    pairs = jnp.ones((3, 7, 7), bool)
    if tiny.config.is_decoder:
        pairs = jnp.tril(pairs)
    expected = apply(tiny, tiny.params, ids, real)
    output = apply(tiny, tiny.params, ids, pairs, position_ids=positions)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), output, expected)
    with pytest.raises(InputError, match="position_ids are missing"):
        apply(tiny, tiny.params, ids, pairs)


def test_tokens_that_a_mask_of_pairs_keeps_apart_do_not_see_each_other(tiny, tokens):
    ids = tokens[0][:1]
    own = np.zeros((1, 7, 7), bool)
    own[:, :3, :3] = own[:, 3:, 3:] = True
    if tiny.config.is_decoder:
        own = np.tril(own)
    positions = np.array([[0, 1, 2, 0, 1, 2, 3]], np.int32)
    packed = apply(tiny, tiny.params, ids, own, position_ids=positions).hidden
    for part in (slice(0, 3), slice(3, 7)):
        alone = apply(tiny, tiny.params, ids[:, part], np.ones_like(ids[:, part], bool)).hidden
        np.testing.assert_allclose(packed[:, part], alone, atol=2e-5)


def test_a_model_computes_in_its_dtype(tiny, tokens):
    halved = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tiny.params)
    module = module_of(tiny.config, jnp.bfloat16)
    model = Pretrained("tiny", tiny.config, module, halved, tiny.tokenizer, tiny.sha256)
    output = model.apply(halved, *tokens)
    assert output.hidden.dtype == jnp.bfloat16
    assert output.logits is None or output.logits.dtype == jnp.float32
    expected = apply(tiny, tiny.params, *tokens).hidden
    assert jnp.mean(jnp.abs(output.hidden.astype(jnp.float32) - expected)) < 0.1


@pytest.mark.parametrize("rows", [1, 3])
def test_a_prefix_gives_the_logits_of_the_full_pass(tiny_llama, tokens, rows):
    ids, mask = tokens
    prefix_ids = np.random.default_rng(1).integers(2, 40, (rows, 5), dtype=np.int32)
    prefix_mask = np.arange(5)[None, :] < np.array([5, 3, 4])[:rows, None]
    prefix = apply(tiny_llama, tiny_llama.params, prefix_ids, prefix_mask).key_values
    output = apply(tiny_llama, tiny_llama.params, ids, mask, prefix=prefix)
    all_rows = (np.tile(each, (3 // rows, 1)) for each in (prefix_ids, prefix_mask))
    full_ids, full_mask = (
        np.concatenate(pair, axis=1) for pair in zip(all_rows, (ids, mask), strict=True)
    )
    full = apply(tiny_llama, tiny_llama.params, full_ids, full_mask)
    np.testing.assert_allclose(output.logits[mask], full.logits[:, 5:][mask], atol=1e-4)
    np.testing.assert_allclose(
        output.key_values.keys[:, mask], full.key_values.keys[:, :, 5:][:, mask], atol=1e-4
    )


def test_a_prefix_works_with_segments_and_with_a_mask_of_pairs(tiny_llama, tokens):
    ids, mask = tokens
    prefix_ids = np.array([[4, 5, 6]], np.int32)
    params = cut(tiny_llama.params, 1)
    prefix = apply(tiny_llama, params, prefix_ids, np.ones((1, 3), bool)).key_values
    expected = apply(tiny_llama, tiny_llama.params, ids, mask, prefix=prefix).logits
    pairs = np.tril(np.ones((3, 7, 7), bool)) & mask[:, None, :]
    pairs = np.concatenate([np.ones((3, 7, 3), bool), pairs], axis=-1)
    positions = 3 + np.maximum(np.cumsum(mask, axis=1, dtype=np.int32) - 1, 0)
    output = apply(tiny_llama, params, ids, pairs, position_ids=positions, prefix=prefix).logits
    np.testing.assert_allclose(output, expected, atol=1e-4)


def test_an_encoder_takes_no_prefix_and_has_no_logits(tiny_bert, tokens):
    output = apply(tiny_bert, tiny_bert.params, *tokens)
    assert output.logits is None
    assert output.key_values is None
    with pytest.raises(InputError, match="no output embedding"):
        tiny_bert.unembed(tiny_bert.params, output.hidden)
    prefix = KeyValues(jnp.ones((3, 1, 2, 4, 8)), jnp.ones((3, 1, 2, 4, 8)), jnp.ones((1, 2), bool))
    with pytest.raises(InputError, match="takes no prefix"):
        apply(tiny_bert, tiny_bert.params, *tokens, prefix=prefix)


@pytest.mark.parametrize("kind", ["llama", "llama-untied"])
def test_logits_of_some_tokens_are_those_of_all(tiny_models, tokens, kind):
    decoder = tiny_models[kind]
    output = apply(decoder, decoder.params, *tokens)
    asked = jnp.array([7, 3, 3], jnp.int32)
    some = decoder.unembed(decoder.params, output.hidden[:, -1], asked)
    np.testing.assert_allclose(some, output.logits[:, -1][:, asked], atol=1e-5)
    every = decoder.unembed(decoder.params, output.hidden)
    np.testing.assert_allclose(every, output.logits, atol=1e-5)
    without = apply(decoder, decoder.params, *tokens, unembed=False)
    assert without.logits is None


BIG = {
    "bert": BertConfig(
        vocab_size=64, hidden_size=128, mlp_size=512, num_layers=12, num_heads=4, max_length=16
    ),
    "llama": LlamaConfig(
        vocab_size=64,
        hidden_size=128,
        mlp_size=512,
        num_layers=12,
        num_heads=4,
        num_kv_heads=2,
        head_dim=32,
        max_length=16,
    ),
}


@pytest.mark.parametrize("family", BIG)
def test_memory_does_not_grow_by_one_base_a_run(family, word_tokenizer):
    """LoRA leaves and an upper layer are mapped over runs; the base under them is not copied."""
    config, runs = BIG[family], 16
    shapes = jax.eval_shape(lambda: initialise(config, KEY))
    model = Pretrained("big", config, module_of(config), shapes, word_tokenizer, "0" * 64)
    params = jax.eval_shape(lambda tree: with_lora(cut(tree, 1)), shapes)
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    trains = [path[0].key == "top_layers" or "lora" in path[-1].key for path, _ in leaves]
    inputs = [
        jax.ShapeDtypeStruct((runs, *leaf.shape) if mapped else leaf.shape, leaf.dtype)
        for mapped, (_, leaf) in zip(trains, leaves, strict=True)
    ]
    ids, mask = jnp.zeros((1, 4), jnp.int32), jnp.ones((1, 4), bool)

    def loss(trained, frozen):
        sources = {True: iter(trained), False: iter(frozen)}
        joined = structure.unflatten([next(sources[mapped]) for mapped in trains])
        return jnp.sum(model.apply(joined, ids, mask, unembed=False).hidden)

    halves = [
        [leaf for mapped, leaf in zip(trains, inputs, strict=True) if mapped is half]
        for half in (True, False)
    ]
    gradient = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None)))
    compiled = gradient.lower(*halves).compile()
    base = sum(leaf.size * 4 for leaf in jax.tree.leaves(params["layers"]))
    # The scan over a run's own layers copies them once, transposed, and slices them.
    own = sum(leaf.size * 4 for leaf in jax.tree.leaves(params["top_layers"]))
    assert compiled.memory_analysis().temp_size_in_bytes < runs * (3 * own + 0.2 * base)


def test_keys_and_values_that_are_not_used_cost_nothing(tiny_llama):
    ids, mask = jnp.zeros((6, 16), jnp.int32), jnp.ones((6, 16), bool)
    sizes = tiny_llama.config
    stacked = f"f32[{sizes.num_layers},6,16,{sizes.num_kv_heads},{sizes.head_dim}]"

    def text(use):
        program = jax.jit(lambda params: use(apply(tiny_llama, params, ids, mask)))
        return program.lower(tiny_llama.params).compile().as_text()

    assert stacked in text(lambda output: output)
    assert stacked not in text(lambda output: output.logits)

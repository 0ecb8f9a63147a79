"""Many adapters in one batch: each row is what its adapter computes alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsl_jax.adapt import (
    TRAINED_METHODS,
    apply_rows,
    attach,
    parse_method,
    partition,
    row_params,
    stack_adapters,
)
from fsl_jax.adapt.mask import mask_from_rules
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models import append_suffix
from fsl_jax.models.blocks.row_params import one_tree
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.training.stacked_runs import stack_padded

IDS = np.random.default_rng(0).integers(2, 50, (5, 6)).astype(np.int32)
MASK = np.arange(6)[None, :] < np.array([6, 4, 6, 5, 3])[:, None]
INDEX = np.array([1, -1, 0, 1, 2], np.int32)
CASES = {
    "llama": ("lora(3)+ia3", "adapter(size=2)+prompt_tuning(3)", "lora(2)+prompt_tuning(2)"),
    "bert": ("bitfit", "adapter('houlsby', size=3)", "ln_tuning+ia3"),
    "gpt2": ("prefix_tuning(2)", "lora(2)", "prefix_tuning(3)+bitfit"),
}
EVERY_KIND = (
    "full",
    "bitfit",
    "ln_tuning",
    "lora(2)",
    "lora(3, layers='last 1', targets='mlp|query')",
    "lora(2, start='pissa')",
    "lora(2, dora=True)",
    "lora(1, dora=True, layers='0')",
    "vera(4)",
    "adalora(3, 2)",
    "ia3",
    "adapter('houlsby', size=3)",
    "adapter('pfeiffer', size=2, activation='gelu')",
    "adapter('parallel', size=3)",
    "prompt_tuning(2)",
    "prompt_tuning(2, position='suffix')",
    "prompt_tuning(3, position='suffix')",
    "p_tuning(3, hidden=4)",
    "prefix_tuning(3, hidden=4)",
    "p_tuning_v2(2)",
    "vera(2)+prefix_tuning(2, hidden=4)",
)


def numbers_of(base, output):
    return np.asarray(output.logits if base.config.is_decoder else output.hidden)


@pytest.mark.parametrize(("family", "texts"), CASES.items())
def test_rows_are_what_their_adapters_compute_alone(tiny, family, texts, adapted):
    base = tiny(family)
    trees = [adapted(base, text, seed) for seed, text in enumerate(texts)]
    stacked = stack_adapters(trees, base)

    @jax.jit
    def together(params, stacked, index):
        return apply_rows(base, params, stacked, index, IDS, MASK)

    output = together(base.params, stacked, INDEX)
    found = numbers_of(base, output)
    alone = jax.jit(base.apply)
    for number, tree in enumerate([*trees, base.params]):
        expected = alone(tree, IDS, MASK)
        rows = np.flatnonzero(np.where(INDEX < 0, len(trees), INDEX) == number)
        real = MASK[rows]
        numbers = numbers_of(base, expected)
        limit = 2e-6 * np.abs(numbers).max()
        assert np.abs(found[rows][real] - numbers[rows][real]).max() < limit
        if base.config.is_decoder:
            # A soft prompt has keys before those of the tokens.
            pair = output.key_values.keys[:, rows, -6:], expected.key_values.keys[:, rows, -6:]
            np.testing.assert_allclose(*(each[:, real] for each in pair), atol=1e-5)


@pytest.fixture(scope="module")
def alone(tiny, adapted):
    """For every kind of adapter a tree, and the hidden states of a text and of what follows it."""
    base = tiny("gpt2")

    @jax.jit
    def read(tree):
        return base.apply(tree, *append_suffix(tree, IDS[:1], MASK[:1])).hidden[0]

    trees = [adapted(base, text, seed) for seed, text in enumerate(EVERY_KIND)]
    return [(tree, read(tree)) for tree in [*trees, base.params]]


def require_rows(base, chosen):
    """Raises an error unless rows of adapters, and one of none, are what each gives alone."""
    trees, expected = zip(*chosen, strict=True)
    stacked = stack_adapters(trees[:-1], base)
    index = np.array([*range(len(trees) - 1), -1], np.int32)
    ids, mask = (np.repeat(each[:1], len(index), axis=0) for each in (IDS, MASK))

    @jax.jit
    def together(stacked):
        return apply_rows(base, base.params, stacked, index, ids, mask).hidden

    for found, numbers in zip(together(stacked), expected, strict=True):
        np.testing.assert_allclose(found[: len(numbers)], numbers, rtol=1e-5, atol=1e-5)


def test_all_kinds_of_adapters_share_a_batch(tiny, alone):
    names = {part.partition("(")[0] for text in EVERY_KIND for part in text.split("+")}
    # A linear probe has nothing but a head, and layers that are cut in two share no batch.
    assert names == TRAINED_METHODS.keys() - {"linear_probe", "top_layers"}
    for (_, one), (_, other) in itertools.combinations(alone, 2):
        assert one.shape != other.shape or np.abs(one - other).max() > 1e-3
    require_rows(tiny("gpt2"), alone)


@pytest.mark.parametrize(
    "texts",
    [
        ("lora(3, layers='last 1', targets='mlp|query')", "vera(2)+prefix_tuning(2, hidden=4)"),
        ("lora(2, dora=True)", "adalora(3, 2)"),
    ],
)
def test_two_kinds_of_low_rank_updates_share_a_batch(tiny, alone, texts):
    require_rows(tiny("gpt2"), [*(alone[EVERY_KIND.index(text)] for text in texts), alone[-1]])


@pytest.mark.soak
def test_any_two_kinds_of_adapters_share_a_batch(tiny, alone):
    for pair in itertools.combinations(alone[:-1], 2):
        require_rows(tiny("gpt2"), [*pair, alone[-1]])


def test_a_suffix_follows_the_texts_of_its_rows(llama, adapted):
    trees = [adapted(llama, f"prompt_tuning({length}, position='suffix')") for length in (2, 3)]
    index = np.array([0, 1, -1])
    ids, mask = IDS[:3], MASK[:3]
    stacked = stack_adapters(trees, llama)
    together = jax.jit(lambda stacked: apply_rows(llama, llama.params, stacked, index, ids, mask))
    found = together(stacked).hidden
    assert found.shape[:2] == (3, 6 + 3)
    alone = jax.jit(lambda tree: llama.apply(tree, *append_suffix(tree, ids, mask)).hidden)
    for row, tree in enumerate([*trees, llama.params]):
        expected = alone(tree)[row]
        real = append_suffix(tree, ids, mask)[1][row]
        numbers = found[row, : len(expected)]
        np.testing.assert_allclose(numbers[real], expected[real], rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="has a suffix, whose positions follow"):
        apply_rows(llama, llama.params, stacked, index, ids, mask, position_ids=ids)


def test_gradients_are_those_of_an_adapters_own_rows(bert, adapted):
    trees = [adapted(bert, "lora(2)", seed) for seed in range(3)]
    stacked = stack_adapters(trees, bert)

    @jax.jit
    @jax.grad
    def gradient(stacked, index):
        hidden = apply_rows(bert, bert.params, stacked, index, IDS, MASK).hidden
        return (hidden[:, 0] ** 2).sum()

    @jax.jit
    @jax.grad
    def gradient_alone(tree, rows):
        hidden = bert.apply(tree, IDS, MASK).hidden
        return jnp.where(rows, hidden[:, 0].T ** 2, 0.0).sum()

    of_first = flatten(gradient(stacked, np.array([-1, -1, 0, -1, -1])))
    assert not any(leaf[1:].any() for leaf in of_first.values())
    found = flatten(gradient(stacked, INDEX))
    for number, tree in enumerate(trees):
        alone = flatten(gradient_alone(tree, number == INDEX))
        for path, leaf in found.items():
            largest = np.abs(leaf[number]).max()
            assert largest > 1e-3
            assert np.abs(leaf[number] - alone[path]).max() < 1e-4 * largest, path


TRAINED = {
    "llama": ("lora(2, start='pissa')", "lora(3, start='pissa')"),
    "gpt2": ("prefix_tuning(2, hidden=4)", "prefix_tuning(3, hidden=5)"),
}
TRAINED_TOO = {
    "bert": ("lora(2, dora=True, learning_rate_ratio=4)", "lora(1, dora=True, layers='0')"),
    "llama": ("vera(3)", "vera(4)"),
    "gpt2": ("p_tuning(2, hidden=4)", "p_tuning(3, hidden=5)"),
}


def halves_of(base, text, seed):
    """Return the trained and the frozen leaves; each is None where another tree has the leaf."""
    method = parse_method(text)
    params, mask = attach(base.params, method, jax.random.key(seed))
    trained, frozen = partition(params, mask)
    settings = mask_from_rules(params, method.frozen_rules)
    return method, trained, partition(frozen, settings)[0]


def present(tree):
    return {path: leaf for path, leaf in flatten(tree).items() if leaf is not None}


def train(loss, trained, steps=3):
    """The leaves after some steps of AdamW."""
    optimizer = optax.adamw(1e-2, weight_decay=0.1)

    @jax.jit
    def step(trained, state):
        updates, state = optimizer.update(jax.grad(loss)(trained), state, trained)
        return optax.apply_updates(trained, updates), state

    # What optax adds up is not of one dtype.
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(trained)
        for _ in range(steps):
            trained, state = step(trained, state)
    return trained


def loss_of(hidden, rows):
    """Return the loss of each row, which reads all real tokens."""
    target = jnp.asarray(np.random.default_rng(5).normal(size=(5, 6, 16)), jnp.float32)
    errors = jnp.where(MASK[rows][..., None], hidden - target[rows], 0.0)
    return (errors**2).sum((1, 2))


@pytest.mark.parametrize(
    ("family", "texts"),
    [
        *TRAINED.items(),
        *(pytest.param(*case, marks=pytest.mark.soak) for case in TRAINED_TOO.items()),
    ],
)
def test_adapters_that_train_in_one_batch_become_what_they_become_alone(tiny, family, texts):
    base = tiny(family)
    halves = [halves_of(base, text, seed) for seed, text in enumerate(texts)]
    methods, trained, settings = zip(*halves, strict=True)
    index, frozen = np.array([1, -1, 0, 1, 0], np.int32), stack_padded(settings)

    def hidden(stacked):
        both = (stacked, frozen)
        options = {"reparametrize": methods[0].reparametrize}
        return apply_rows(base, base.params, both, index, IDS, MASK, **options).hidden

    def together(stacked):
        return loss_of(hidden(stacked), slice(None)).sum()

    found = train(together, stack_padded(trained))
    for number, (method, own, fixed) in enumerate(zip(methods, trained, settings, strict=True)):
        rows = np.flatnonzero(number == index)

        def alone(leaves, method=method, fixed=fixed, rows=rows):
            whole = flatten(base.params) | present(leaves) | present(fixed)
            tree = method.reparametrize(unflatten(whole))
            return loss_of(base.apply(tree, IDS[rows], MASK[rows]).hidden, rows).sum()

        start, expected = present(own), present(train(alone, own))
        assert present(found).keys() == expected.keys()
        for path, leaf in expected.items():
            trained_leaf = present(found)[path][(number, *map(slice, leaf.shape))]
            np.testing.assert_allclose(trained_leaf, leaf, rtol=1e-5, atol=1e-5, err_msg=path)
            assert np.abs(leaf - start[path]).max() > 1e-3
    plain = jax.jit(base.apply)(base.params, IDS[1:2], MASK[1:2]).hidden[0]
    np.testing.assert_allclose(jax.jit(hidden)(found)[1], plain, rtol=1e-5, atol=1e-5)


def test_a_prefix_is_shared_by_all_rows_or_each_has_its_own(llama, adapted):
    before = jax.jit(llama.apply)(llama.params, IDS[:, :3], MASK[:, :3] | True).key_values
    stacked = stack_adapters([adapted(llama, "lora(2)", seed) for seed in range(3)], llama)
    first = jax.tree.map(lambda array: array[:1], before)
    shared = first.replace(keys=before.keys[:, :1], values=before.values[:, :1])

    @jax.jit
    def logits(prefix):
        given = (stacked, INDEX, IDS, MASK)
        return apply_rows(llama, llama.params, *given, prefix=prefix).logits

    own, common = logits(before), logits(shared)
    np.testing.assert_allclose(own[0], common[0], atol=1e-5)
    assert np.abs(own[1] - common[1]).max() > 1e-3


@pytest.mark.soak
def test_an_encoder_decoder_has_adapters_for_each_row(tiny, adapted):
    base = tiny("t5")
    tree = adapted(base, "ia3")
    inputs, options = (IDS[:2], MASK[:2]), {"decoder_input_ids": IDS[:2, :4]}
    index, stacked = np.array([0, -1]), stack_adapters([tree], base)
    together = jax.jit(lambda given: apply_rows(base, *given, index, *inputs, **options).logits)
    found = together((base.params, stacked))
    alone = jax.jit(lambda params: base.apply(params, *inputs, **options).logits)
    for row, params in enumerate((tree, base.params)):
        np.testing.assert_allclose(found[row], alone(params)[row], rtol=1e-5, atol=1e-5)


def test_what_the_model_does_not_read_needs_what_makes_it(llama):
    halves = [halves_of(llama, "vera(3)", seed) for seed in range(2)]
    methods, trained, settings = zip(*halves, strict=True)
    stacked = (stack_padded(trained), stack_padded(settings))
    with pytest.raises(InputError, match=r"query/vera_d is not what the model reads: give the"):
        row_params(llama, llama.params, stacked, np.array([0, 1]))
    rows = row_params(
        llama, llama.params, stacked, np.array([0, 1]), reparametrize=methods[0].reparametrize
    )
    assert one_tree(rows)["layers"]["attention"]["query"]["lora_a"].shape == (1, 16, 3)


def test_a_training_whose_layers_are_cut_shares_no_batch(llama):
    _, trained, _ = halves_of(llama, "top_layers(1)", 0)
    with pytest.raises(InputError, match=r"top_layers/.*cut in two \(top_layers\) share no batch"):
        row_params(llama, llama.params, stack_padded([trained]), np.array([0]))


def test_the_base_is_not_copied_for_each_row():
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=128,
        mlp_size=512,
        num_layers=4,
        num_heads=4,
        num_kv_heads=4,
        head_dim=32,
        max_length=8,
    )
    params = jax.eval_shape(lambda: initialise(config, jax.random.key(0)))
    base = Pretrained("wide", config, module_of(config), params, None, "00")
    extended = jax.eval_shape(parse_method("lora(2)+ia3").extend, params, jax.random.key(0))
    added = flatten(extended).keys() - flatten(params).keys()
    stacked = unflatten(
        {
            path: jax.ShapeDtypeStruct((16, *leaf.shape), leaf.dtype)
            for path, leaf in flatten(extended).items()
            if path in added
        }
    )
    ids = np.ones((16, 4), np.int32)

    def run(params, stacked, index):
        return apply_rows(base, params, stacked, index, ids, ids > 0).logits

    index = jax.ShapeDtypeStruct((16,), jnp.int32)
    memory = jax.jit(run).lower(params, stacked, index).compile().memory_analysis()
    weights = sum(leaf.size * 4 for leaf in jax.tree.leaves(params))
    assert memory.temp_size_in_bytes < weights / 2


def test_parameters_that_are_not_the_bases_are_an_error(bert, adapted):
    tree = adapted(bert, "prompt_tuning(2)")
    stacked = stack_adapters([tree, tree, tree], bert)
    with pytest.raises(InputError) as caught:
        apply_rows(bert, {"embeddings": tree["embeddings"]}, stacked, INDEX, IDS, MASK)
    assert "missing: layers/attention/query/bias\n" in str(caught.value)
    assert "so it belongs into `stacked`: embeddings/word/prompt_mask" in str(caught.value)
    with pytest.raises(InputError, match="index is for 5 rows, and there are 2"):
        apply_rows(bert, bert.params, stacked, INDEX, IDS[:2], MASK[:2])


def test_an_adapter_that_is_not_there_is_an_error(llama, adapted):
    stacked = stack_adapters([adapted(llama, "ia3")], llama)
    for wrong in (1, -2):
        with pytest.raises(InputError, match=f"no adapter {wrong}: there are 1"):
            apply_rows(llama, llama.params, stacked, np.array([wrong]), IDS[:1], MASK[:1])


@pytest.mark.parametrize("method", ["ia3", "lora(2)"])
def test_in_a_program_a_row_of_an_adapter_that_is_not_there_has_no_numbers(llama, method, adapted):
    stacked = stack_adapters([adapted(llama, method, seed) for seed in range(2)], llama)

    @jax.jit
    def read(index):
        return apply_rows(llama, llama.params, stacked, index, IDS, MASK).hidden

    found = np.isnan(read(np.array([0, 2, -1, -2, 1], np.int32))).reshape(5, -1)
    assert found.all(axis=1).tolist() == found.any(axis=1).tolist() == [0, 1, 0, 1, 0]

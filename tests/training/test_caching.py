"""The part below the trained leaves is cached, and caching changes no result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy

from fsl_jax.adapt import BitFit, Full, LinearProbe, LoRA, PromptTuning, TopLayers, combine
from fsl_jax.adapt.tree import unflatten
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.packing.batch import gather
from fsl_jax.packing.pool import make_pool
from fsl_jax.training.caching import cache_pool, cached_name, lower_part, pool_shapes


@pytest.mark.parametrize(
    ("trained", "expected"),
    [
        (["head/kernel", "head/bias"], "representation"),
        (["head/kernel", "top_layers/mlp/up/kernel", "final_norm/scale"], "trunk"),
        (["unembedding/kernel"], "trunk"),
        (["head/kernel", "layers/mlp/up/bias"], None),
        (["embeddings/word/embedding"], None),
        (["embeddings/word/suffix", "head/kernel"], "text_states"),
        (["embeddings/word/suffix", "layers/attention/query/lora_a"], None),
        (["embeddings/word/prompt", "head/kernel"], None),
    ],
)
def test_what_is_kept_depends_on_the_lowest_trained_leaf(trained, expected):
    frozen = ["embeddings/norm/scale", "layers/mlp/up/kernel", "top_layers/mlp/down/kernel"]
    mask = dict.fromkeys(trained, True) | dict.fromkeys(frozen, False)
    assert cached_name(unflatten(mask)) == expected


@pytest.fixture(scope="module")
def problem(tiny_problem, trial):
    def make(formulation, method):
        return tiny_problem(formulation, [trial(method)])

    return make


@pytest.mark.parametrize(
    ("formulation", "method"),
    [
        ("bert-head", LinearProbe()),
        ("llama-head", TopLayers(1)),
        ("llama-template", TopLayers(1)),
        ("llama-words", TopLayers(2)),
        ("llama-head", PromptTuning(3, position="suffix")),
        ("gpt2-template", PromptTuning(3, position="suffix")),
        ("llama-words", PromptTuning(3, position="suffix")),
    ],
)
def test_loss_and_gradients_are_those_without(problem, formulation, method):
    made = problem(formulation, method)
    stack, pool = made.stack, made.pool
    placements = jax.tree.map(lambda leaf: leaf[0, 0], made.runs.training)
    halves = jax.tree.map(lambda leaf: leaf[0], (stack.trainable, stack.frozen_leaves))
    trainable, frozen_leaves = halves

    @jax.jit
    @jax.value_and_grad
    def loss(trainable, batch):
        params = combine(trainable, frozen_leaves, stack.shared)
        return cross_entropy(made.formulation.outputs(params, batch), batch.targets).mean()

    assert pool.is_cached
    jax.tree.map(
        lambda found, expected: np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6),
        loss(trainable, gather(pool, placements)),
        loss(trainable, gather(jax.device_put(made.examples), placements)),
    )


def test_of_what_is_kept_no_layer_below_is_run_again(problem):
    made = problem("llama-template", TopLayers(1))
    trainable = jax.tree.map(lambda leaf: leaf[0], made.stack.trainable)
    nothing = jax.tree.map(jnp.zeros_like, made.stack.shared)
    kept = nothing | {"embeddings": made.stack.shared["embeddings"]}

    @jax.jit
    def logits(shared, batch):
        return made.formulation.outputs(combine(trainable, shared), batch)

    placements = jax.tree.map(lambda leaf: leaf[0, 0], made.runs.training)
    batch = gather(made.pool, placements)
    # The embeddings are still read, as rows of the unembedding.
    np.testing.assert_array_equal(logits(kept, batch), logits(made.stack.shared, batch))
    whole = gather(jax.device_put(made.examples), placements)
    assert (logits(kept, whole) != logits(made.stack.shared, whole)).any()


@pytest.mark.parametrize(
    ("formulation", "method"),
    [
        ("bert-head", LinearProbe()),
        ("llama-words", TopLayers(1)),
        ("bert-head", BitFit()),
        ("llama-template", LoRA(2)),
        ("bert-head", Full()),
        ("llama-template", PromptTuning(2, position="suffix")),
    ],
)
def test_shapes_are_known_before_anything_is_computed(problem, formulation, method):
    made = problem(formulation, method)
    stack = made.stack
    shapes = pool_shapes(made.formulation, stack.shared, stack.mask, made.examples)
    computed = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), made.pool)
    assert shapes == computed


def test_each_token_and_example_has_its_own(problem):
    made = problem("llama-head", TopLayers(1))
    stack, whole = made.stack, made.examples
    texts = np.split(whole.tokens, whole.begins[1:])[:3]
    pools = [make_pool([ids.tolist()]) for ids in texts]
    alone = [cache_pool(made.formulation, stack.shared, stack.mask, pool) for pool in pools]
    found = made.pool.by_token["trunk"]
    expected = np.concatenate([pool.by_token["trunk"] for pool in alone])
    np.testing.assert_allclose(found[: len(expected)], expected, atol=1e-6)


def test_a_template_has_no_representation(tiny_formulations):
    compute = lower_part(tiny_formulations["llama-template"], "representation")
    with pytest.raises(TypeError, match="template has no representation below a head"):
        compute({}, unpacked_batch([[1, 2]]))

"""What all heads have in common, on packed rows of examples with one segment or several."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_heads import EXAMPLES

from fsl_jax.adapt import LinearProbe, LoRA, PromptTuning
from fsl_jax.data.examples import Split
from fsl_jax.errors import InputError
from fsl_jax.formulations import encode
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.registry import restore_formulation
from fsl_jax.packing.batch import gather
from fsl_jax.packing.placements import RowShape
from fsl_jax.packing.planning import place_chunks
from fsl_jax.training.predictor import Predictor

CASES = [
    ("multilabel_head", "bert"),
    ("multicolumn_head", "llama"),
    ("regression_head", "t5"),
    *(
        (name, family)
        for name in ("marker_head", "span_head")
        for family in ("bert", "llama", "t5")
    ),
    ("choice_head", "bert"),
    ("choice_head", "llama"),
]


def in_own_rows(placements, length):
    """The same segments, each in a row of its own."""
    shape = RowShape(placements.starts.shape[-1], length, 1)
    starts = jnp.arange(shape.rows, dtype=jnp.int32) * length
    return placements.replace(starts=starts, shape=shape)


def with_prompt(head, length=2, **options):
    params = head.prepare(head.pretrained.params, jax.random.key(0))
    return PromptTuning(length, **options).extend(params, jax.random.key(1))


@pytest.mark.parametrize(("name", "family"), CASES)
def test_packed_segments_behind_a_soft_prompt_are_read_as_if_alone(tiny_head, name, family):
    head, examples = tiny_head(name, family), EXAMPLES[name]
    assert isinstance(head, Formulation)
    params = with_prompt(head)
    encoded = encode(head, examples, params)
    assert encoded.truncated == 0
    pool, numbers = encoded.pool, np.arange(len(examples), dtype=np.int32)
    placements = place_chunks(pool.lengths, [numbers, numbers[1:2]], 999, width=pool.width)
    whole, filled_up = (
        jax.tree.map(lambda leaf, run=run: jnp.asarray(leaf[run, 0]), placements) for run in (0, 1)
    )
    assert filled_up.weight.sum() == 1 < len(filled_up.weight)
    pool = jax.tree.map(jnp.asarray, pool)
    batches = [gather(pool, each) for each in (whole, in_own_rows(whole, 20), filled_up)]
    assert len(batches[0].input_ids) < len(batches[1].input_ids)

    @jax.jit
    def compute(params):
        def losses(params, batch):
            outputs = head.outputs(params, batch)
            return outputs, *head.objective.losses(outputs, batch.targets)

        def loss(params):
            return (losses(params, batches[2])[1] * batches[2].weight).sum()

        kept = {"representation": head.representation(params, batches[0])}
        found = [losses(params, batch) for batch in (*batches, batches[0].replace(cached=kept))]
        return found, jax.grad(loss)(params)

    (packed, alone, one, from_cache), gradients = compute(params)
    exists = np.asarray(batches[0].lengths > 0).reshape(-1, pool.width)
    for other in (alone, from_cache):
        for leaf, expected in zip(*map(jax.tree.leaves, (packed, other)), strict=True):
            # What is not needed has no tokens, and its outputs do not count.
            counts = exists if leaf.ndim > 1 and pool.width > 1 else slice(None)
            np.testing.assert_allclose(leaf[counts], expected[counts], rtol=1e-4, atol=1e-5)
    # Of both batches, the place of the example that both have.
    here, there = (int(np.argmax(each.examples == 1)) for each in (filled_up, whole))
    np.testing.assert_allclose(one[1][here], packed[1][there], rtol=1e-4)
    assert packed[1][there] > 1e-3
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((one, gradients)))
    assert jnp.abs(gradients["head"]["kernel"]).max() > 1e-4


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_description_gives_the_formulation_back(tiny_head, name):
    head = tiny_head(name, "bert", max_length=9)
    described = head.describe()
    assert described["name"] == name
    assert described["max_length"] == 9
    restored = restore_formulation(described, head.pretrained)
    assert type(restored) is type(head)
    assert restored.describe() == described
    for field in dataclasses.fields(head):
        assert getattr(restored, field.name) == getattr(head, field.name)


@pytest.mark.parametrize("name", ["marker_head", "span_head"])
def test_a_soft_prompt_after_the_text_is_refused_by_heads_on_single_tokens(tiny_head, name):
    head = tiny_head(name, "llama")
    params = with_prompt(head, position="suffix")
    batch = packed(head, name, params)
    with pytest.raises(InputError, match=f"{name} reads .* without position='suffix'"):
        head.outputs(params, batch)


@pytest.mark.parametrize("name", ["multilabel_head", "choice_head"])
def test_a_soft_prompt_after_the_text_is_pooled_instead_of_it(tiny_head, name):
    head = tiny_head(name, "llama")
    params = with_prompt(head, position="suffix")
    batch = packed(head, name, params)
    states = jax.jit(head.representation)(params, batch)
    other = params | {"embeddings": jax.tree.map(jnp.copy, params["embeddings"])}
    other["embeddings"]["word"]["suffix"] += 1
    assert jnp.isfinite(states).all()
    assert (jnp.abs(states - jax.jit(head.representation)(other, batch)).max(axis=1) > 0.01).all()


def packed(head, name, params):
    pool = jax.tree.map(jnp.asarray, encode(head, EXAMPLES[name], params).pool)
    numbers = np.arange(len(EXAMPLES[name]), dtype=np.int32)
    width = head.slot_width(params)
    placements = place_chunks(
        np.asarray(pool.lengths), [numbers], 999, slot_width=width, width=pool.width
    )
    return gather(pool, jax.tree.map(lambda leaf: jnp.asarray(leaf[0, 0]), placements))


TRAINED = [
    ("multilabel_head", "llama", LoRA(2)),
    ("multicolumn_head", "bert", LinearProbe()),
    ("regression_head", "bert", LoRA(2)),
    ("marker_head", "t5", LoRA(2)),
    ("span_head", "llama", LoRA(2)),
    ("span_head", "bert", LinearProbe()),
    ("choice_head", "bert", LoRA(2)),
]


@pytest.mark.parametrize(("name", "family", "method"), TRAINED)
def test_training_lowers_the_loss_and_the_model_answers(
    tiny_head, tiny_problem, trial, name, family, method
):
    examples = tuple(EXAMPLES[name])
    splits = [Split(13, 1, examples[:3], examples)]
    problem = tiny_problem(
        tiny_head(name, family),
        [trial(method, learning_rate=3e-2)],
        splits=splits,
        steps=30,
        batch_size=3,
    )
    assert problem.pool.is_cached == isinstance(method, LinearProbe)
    runs = problem.fit(problem.compile()).runs
    run = jax.tree.map(lambda leaf: leaf[0], runs)
    assert not run.diverged
    assert run.losses[-1] < 0.7 * run.losses[0]
    assert run.best_measure > 0
    models = dataclasses.replace(problem.stack.models, trainable=runs.trainable)
    [answers] = Predictor(problem.formulation, models).predict(examples).answers
    assert len(answers) == len(examples)
    kinds = {type(example.answer) for example in examples}
    assert {type(answer) for answer in answers} <= kinds
    hash(tuple(answers))

"""Compiled programs: memory, groups of runs, and the layout over devices."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import BitFit, LinearProbe, LoRA, PromptTuning, PTuningV2, TopLayers
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.formulations import HeadFormulation
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.sharding import make_mesh
from fsl_jax.training.program_size import compile_largest

DEEP = {"vocab_size": 64, "hidden_size": 128, "mlp_size": 512, "num_layers": 24, "num_heads": 4}
CONFIGS = {
    "bert": BertConfig(**DEEP, max_length=16),
    "llama": LlamaConfig(**DEEP, max_length=16, num_kv_heads=4, head_dim=32),
}


@pytest.fixture(scope="module")
def probes(tiny_problem, trial):
    """Three runs, whose program is compiled in no time."""
    trials = [
        trial(LinearProbe(), seed, rate) for seed, rate in ((13, 3e-2), (21, 1e-2), (42, 2e-2))
    ]
    return tiny_problem("bert-head", trials, steps=10)


@pytest.fixture(scope="module")
def together(probes):
    return probes.fit(probes.compile()).runs


@pytest.fixture(scope="module")
def pairs(probes):
    """A program for two of the three runs, since all three do not fit."""
    limit = probes.compile().memory - 1
    return compile_largest(probes.compile, 3, limit)


def test_what_does_not_fit_is_run_in_groups_with_the_same_results(probes, together, pairs):
    assert pairs.size == 2
    for first in (0, 2):
        group = probes.fit(pairs, first).runs
        for number in range(first, min(first + 2, 3)):
            jax.tree.map(
                lambda found, expected, index=number - first, number=number: (
                    np.testing.assert_allclose(found[index], expected[number], atol=1e-6)
                ),
                group,
                together,
            )


def test_runs_that_fill_a_program_do_nothing(probes, pairs):
    start = jax.device_get(probes.place(pairs, first=2)[0].runs)
    last = probes.fit(pairs, first=2).runs
    np.testing.assert_array_equal(start.stopped, [False, True])
    assert np.isfinite(last.losses[0]).all()
    jax.tree.map(
        lambda found, before: np.testing.assert_array_equal(found[1], before[1]), last, start
    )


def test_what_a_dispatch_takes_over_is_nowhere_twice(probes, pairs):
    state, inputs = probes.place(pairs)
    places = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(state)]
    assert len(set(places)) == len(places)
    pairs.advance(state, *inputs)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.runs.trainable))


def deep(family):
    """A model that dwarfs its adapters; shapes are enough, and zeros take no time."""
    config = CONFIGS[family]
    shapes = parameter_shapes(config)
    params = unflatten({path: jnp.zeros(shape) for path, shape in shapes.items()})
    return params, config


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("llama", LoRA(1)),
        ("bert", BitFit()),
        ("llama", TopLayers(1)),
        pytest.param("llama", PromptTuning(1), marks=pytest.mark.soak),
        pytest.param("llama", PTuningV2(1), marks=pytest.mark.soak),
    ],
    ids=["lora", "bitfit", "top_layers", "prompt_tuning", "p_tuning_v2"],
)
def test_memory_does_not_grow_by_a_base_with_each_run(
    tiny_problem, tiny_tokenizer, tiny_dataset, trial, family, method
):
    params, config = deep(family)
    base = Pretrained("deep", config, module_of(config), params, tiny_tokenizer, "ab" * 32)
    formulation = HeadFormulation(base, tiny_dataset.labels)
    runs = 8
    problem = tiny_problem(formulation, [trial(method)] * runs, cached=False, batch_size=1)
    size = sum(leaf.nbytes for leaf in flatten(params).values())
    memory = problem.compile().memory
    # With a copy for each run the program would hold nine bases.
    assert size < memory < runs / 2 * size


def test_the_rows_of_a_batch_are_spread_over_the_mesh(tiny_problem, trial):
    problem = tiny_problem("llama-template", [trial(LoRA(2))], batch_size=8).in_rows(8)
    text = problem.compile(mesh=make_mesh(batch=8)).advance.as_text()
    # Inside the multilayer perceptron: the tokens of one row, not those of eight.
    length = problem.runs.training.shape.length
    assert problem.runs.training.shape.rows == 8
    assert re.search(rf"f32\[(1,)*{length},40\]", text)
    assert not re.search(rf"f32\[(1,)*{8 * length},40\]", text)
    # Gradients are summed over the devices.
    assert "all-reduce" in text


def test_a_batch_that_cannot_be_spread_is_an_error_that_says_so(probes):
    with pytest.raises(InputError, match="--batch_size=4 cannot be spread over --mesh_batch=8"):
        probes.compile(mesh=make_mesh(batch=8))

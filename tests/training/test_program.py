"""Compiled programs: memory, groups of runs, and the layout over devices."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import BitFit, LinearProbe, LoRA, PromptTuning, PTuningV2, TopLayers
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.sharding import make_mesh
from fsl_jax.tasks import HeadFormulation
from fsl_jax.training.program import Program, compile_largest, even_size

pytestmark = pytest.mark.usefixtures("quick_compilation")

DEEP = {"vocab_size": 64, "hidden_size": 128, "mlp_size": 512, "num_layers": 24, "num_heads": 4}
CONFIGS = {
    "bert": BertConfig(**DEEP, max_length=16),
    "llama": LlamaConfig(**DEEP, max_length=16, num_kv_heads=4, head_dim=32),
}


def counted(size):
    """A program with a base of 100 bytes, and 10 for each run."""
    return Program(lambda state, *_: state, size, 100 + 10 * size, 0.0, None, BitFit())


def compiled_sizes(runs, limit, multiple=1):
    sizes = []

    def compile_size(size):
        sizes.append(size)
        return counted(size)

    program = compile_largest(compile_size, runs, limit, multiple)
    assert program.size == sizes[-1]
    return sizes


@pytest.mark.parametrize(
    ("runs", "limit", "multiple", "expected"),
    [
        (16, 260, 1, 16),  # all fit
        (16, 259, 1, 8),
        (16, 170, 1, 6),  # seven fit; three groups of six are as few as of seven
        (17, 269, 1, 9),  # 9 and 8 rather than 16 and 1
        (16, 110, 1, 1),
        (5, 1000, 2, 6),  # filled up to a multiple
        (16, 199, 4, 8),
        (16, 140, 4, 4),
    ],
)
def test_as_many_runs_as_fit_are_trained_at_once_in_even_groups(runs, limit, multiple, expected):
    sizes = compiled_sizes(runs, limit, multiple)
    assert sizes[-1] == expected
    assert sizes == sorted(set(sizes), reverse=True)
    assert all(size % multiple == 0 for size in sizes)


@pytest.mark.parametrize("multiple", [1, 4])
def test_what_cannot_fit_is_an_error_that_says_what_to_change(multiple):
    with pytest.raises(InputError, match=rf"a program of {multiple} run\(s\) needs 0.00 GiB") as e:
        compiled_sizes(16, 99, multiple)
    assert all(way in str(e.value) for way in ("batch", "--max_length", "--memory_limit_gib"))


def test_groups_are_as_few_and_as_even_as_they_can_be():
    for runs, largest, multiple in itertools.product(range(1, 20), (1, 3, 8, 40), (1, 2, 4)):
        size = even_size(runs, largest, multiple)
        most = max(largest - largest % multiple, multiple)
        groups = -(-runs // most)
        assert size % multiple == 0
        assert size <= most
        assert -(-runs // size) == groups
        assert size - multiple < runs / groups


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
                lambda found, expected, place=number - first, number=number: (
                    np.testing.assert_allclose(found[place], expected[number], atol=1e-6)
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
    # A copy for each run would make nine bases of it.
    assert size < memory < runs / 2 * size


def test_the_rows_of_a_batch_are_spread_over_the_mesh(tiny_problem, trial):
    problem = tiny_problem("llama-template", [trial(LoRA(2))], batch_size=8)
    text = problem.compile(mesh=make_mesh(batch=8)).advance.as_text()
    # Inside the multilayer perceptron: a row of 32 tokens, and what eight rows would be if flat.
    rows = {int(count) for count in re.findall(r"f32\[[\d,]*?(\d+),32,40\]", text)}
    assert rows == {1}
    assert "f32[256,40]" not in text
    # Gradients are summed over the devices.
    assert "all-reduce" in text


def test_a_batch_that_cannot_be_spread_is_an_error_that_says_so(probes):
    with pytest.raises(InputError, match="--batch_size=4 cannot be spread over --mesh_batch=8"):
        probes.compile(mesh=make_mesh(batch=8))

"""The arrays of a planned program."""

import numpy as np
import pytest

from fsl_jax.packing.padding import padding
from fsl_jax.processes import to_host
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.running.prepare import prepare, slice_runs
from fsl_jax.training.stacked_runs import stack_shapes


@pytest.fixture
def prepared(running_study):
    """Prepares the first program of a study."""

    def make(methods, family="bert", **changes):
        asked = {"model_length": 32, "learning_rates": "0.1"} | changes
        with running_study(methods, family, **asked) as study:
            planned = plan_programs(study.config)[0]
            pretrained = study.load(planned.model)
            return prepare(planned, pretrained, study.dataset, study.config, stack_shapes)

    return make


@pytest.mark.parametrize("batches", ["even", "random"])
def test_each_step_has_training_examples_of_its_split(prepared, batches):
    made = prepared("bitfit", shots=2, steps="6", batch_size="2", batches=batches)
    training, validation = to_host((made.runs.training, made.runs.validation))
    assert training.examples.shape == (2, 6, 2)
    for run in range(2):
        trained = training.examples[run]
        seen = validation.examples[run][validation.weight[run] > 0]
        # Six examples, and three batches in an epoch.
        assert len(set(trained[:3].ravel())) == len(set(trained.ravel())) == 6
        assert len(set(seen)) == len(seen) == 6
        assert not set(seen) & set(trained.ravel())


def test_even_batches_have_less_padding_than_random_ones(prepared):
    options = {"shots": 3, "steps": "40", "batch_size": "3"}
    even, random = (
        prepared("bitfit", **options, batches=batches) for batches in ("even", "random")
    )
    assert even.padding < random.padding
    assert even.step_tokens < random.step_tokens
    lengths = even.encoded.pool.lengths
    assert even.padding == pytest.approx(
        padding(lengths, to_host(even.runs.training)).share, abs=1e-4
    )


def test_a_step_on_cached_representations_has_no_tokens(prepared):
    assert prepared("linear_probe").step_tokens == 0
    assert prepared("bitfit").step_tokens > 0


@pytest.mark.parametrize(
    ("family", "method"), [("bert", "prompt_tuning(length=3)"), ("t5", "prompt_tuning(length=3)")]
)
def test_the_vectors_of_a_soft_prompt_are_tokens_of_each_example(prepared, family, method):
    made = prepared(method, family)
    without = prepared("bitfit" if family == "bert" else "lora", family).encoded.pool.lengths
    np.testing.assert_array_equal(made.encoded.pool.lengths, without + 3)
    # The words of an encoder-decoder are in slots, which are computed too.
    shape = made.runs.training.shape
    in_slots = made.step_tokens - shape.tokens
    assert in_slots == shape.rows * shape.slots * made.slot_width
    assert (in_slots > 0) == (family == "t5")
    assert 0 < made.padding < 1


def test_a_group_is_cut_out_of_every_leaf():
    tree = {"a": np.arange(4), "b": {"c": np.arange(8).reshape(4, 2)}}
    cut = slice_runs(tree, range(1, 3))
    np.testing.assert_array_equal(cut["a"], [1, 2])
    np.testing.assert_array_equal(cut["b"]["c"], [[2, 3], [4, 5]])

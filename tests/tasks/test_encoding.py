"""Examples become a pool of tokens."""

import jax
import numpy as np
import pytest

from fsl_jax.adapt import PromptTuning
from fsl_jax.data.examples import Example
from fsl_jax.tasks.encoding import encode, label_indices
from fsl_jax.tasks.head import HeadFormulation

EXAMPLES = [Example("w1 w2 w3", "west"), Example("w4", "east")]


def tokens_of(pool):
    """Return the token ids of each example."""
    ends = zip(pool.begins, pool.begins + pool.lengths, strict=True)
    return [pool.tokens[first:last].tolist() for first, last in ends]


def test_examples_become_a_pool(tiny_formulations, tiny_tokenizer):
    formulation = tiny_formulations["llama-head"]
    encoded = encode(formulation, EXAMPLES, formulation.pretrained.params)
    assert encoded.truncated == 0
    assert encoded.pool.label.tolist() == [2, 0]
    texts = [tiny_tokenizer.decode(ids) for ids in tokens_of(encoded.pool)]
    assert texts == [example.text for example in EXAMPLES]


@pytest.mark.parametrize("position", ["prefix", "suffix"])
def test_what_the_model_reads_beside_a_prompt_is_in_the_pool(tiny_formulations, position):
    formulation = tiny_formulations["llama-words"]
    base = formulation.pretrained
    params = PromptTuning(2, position=position).extend(base.params, jax.random.key(0))
    shapes = jax.eval_shape(lambda: params)
    pool = encode(formulation, EXAMPLES, shapes).pool
    plain, _ = formulation.tokenize(EXAMPLES)
    before, after = (
        ([64, 65], formulation.words.inputs.tolist()) if position == "prefix" else ([], [])
    )
    assert tokens_of(pool) == [[*before, *ids, *after] for ids in plain]


def test_texts_that_were_cut_are_counted(tiny_bases, tiny_dataset):
    short = HeadFormulation(tiny_bases["llama"], tiny_dataset.labels, max_length=8)
    examples = [Example("w1 " * length, "east") for length in (7, 8, 9, 31)]
    encoded = encode(short, examples, tiny_bases["llama"].params)
    assert encoded.truncated == 2
    assert encoded.pool.lengths.tolist() == [7, 8, 8, 8]


def test_labels_are_numbered_in_the_order_of_the_classes():
    examples = [Example("x", label) for label in ("b", "a", "c", "b")]
    np.testing.assert_array_equal(label_indices(examples, ("c", "b", "a")), [1, 2, 0, 1])

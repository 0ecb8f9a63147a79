"""Examples become a pool of tokens."""

import jax
import numpy as np
import pytest

from fsl_jax.adapt import PromptTuning
from fsl_jax.data.examples import text_example
from fsl_jax.formulations.encoding import encode
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.tokenized import Tokenized

EXAMPLES = [text_example("w1 w2 w3", "west"), text_example("w4", "east")]


def tokens_of(pool):
    """Return the token ids of each example."""
    ends = zip(pool.begins, pool.begins + pool.lengths, strict=True)
    return [pool.tokens[first:last].tolist() for first, last in ends]


def test_examples_become_a_pool(tiny_formulations, tiny_tokenizer):
    formulation = tiny_formulations["llama-head"]
    encoded = encode(formulation, EXAMPLES, formulation.pretrained.params)
    assert encoded.truncated == 0
    assert encoded.pool.targets.tolist() == [2, 0]
    texts = [tiny_tokenizer.decode(ids) for ids in tokens_of(encoded.pool)]
    assert texts == [example.text for example in EXAMPLES]


@pytest.mark.parametrize("position", ["prefix", "suffix"])
def test_what_the_model_reads_beside_a_prompt_is_in_the_pool(tiny_formulations, position):
    formulation = tiny_formulations["llama-words"]
    base = formulation.pretrained
    params = PromptTuning(2, position=position).extend(base.params, jax.random.key(0))
    shapes = jax.eval_shape(lambda: params)
    pool = encode(formulation, EXAMPLES, shapes).pool
    plain = formulation.tokenize(EXAMPLES).tokens
    before, after = (
        ([64, 65], formulation.words.inputs.tolist()) if position == "prefix" else ([], [])
    )
    assert tokens_of(pool) == [[*before, *ids, *after] for ids in plain]


def test_texts_that_were_cut_are_counted(tiny_bases, tiny_dataset):
    short = HeadFormulation(tiny_bases["llama"], tiny_dataset.labels, max_length=8)
    examples = [text_example("w1 " * length, "east") for length in (7, 8, 9, 31)]
    encoded = encode(short, examples, tiny_bases["llama"].params)
    assert encoded.truncated == 2
    assert encoded.pool.lengths.tolist() == [7, 8, 8, 8]


class InHalves(HeadFormulation):
    """Cuts long texts into two segments, and notes which half each is."""

    def tokenize(self, examples, *, answered=False):
        halves = [
            [ids] if len(ids) < 4 else [ids[:2], ids[2:]]
            for ids in super().tokenize(examples).tokens
        ]
        return Tokenized(
            [ids for each in halves for ids in each],
            truncated=0,
            counts=np.int32(list(map(len, halves))),
            features={"half": np.int32([n + 1 for each in halves for n in range(len(each))])},
        )


def test_all_examples_get_as_many_segments(tiny_bases):
    formulation = InHalves(tiny_bases["llama"], ("east", "west"))
    texts = ("w1 w2 w3", "w4 w5 w6 w7", "w8")
    examples = [text_example(text, "west") for text in texts]
    pool = encode(formulation, examples, tiny_bases["llama"].params).pool
    assert pool.width == 2
    assert pool.lengths.tolist() == [3, 0, 2, 2, 1, 0]
    assert pool.example_lengths.tolist() == [3, 4, 1]
    assert pool.features["half"].tolist() == [1, 0, 1, 2, 1, 0]
    assert pool.targets.tolist() == [1, 1, 1]

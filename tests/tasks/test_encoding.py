import dataclasses

import numpy as np
import pytest

from fsl_jax.buckets import bucket_lengths
from fsl_jax.data.examples import Example
from fsl_jax.tasks.encoding import batches_by_length, encode, label_indices, pad_id
from fsl_jax.tasks.head import HeadFormulation


def test_examples_become_arrays_of_one_length(tiny_formulations, tiny_tokenizer):
    examples = [Example("w1 w2 w3", "west"), Example("w4", "east")]
    encoded = encode(tiny_formulations["llama-head"], examples)
    ids = encoded.arrays["input_ids"]
    assert ids.shape == encoded.arrays["attention_mask"].shape == (2, 16)
    assert ids.dtype == encoded.arrays["label"].dtype == np.int32
    assert encoded.truncated == 0
    np.testing.assert_array_equal(encoded.arrays["label"], [2, 0])
    for row, example in enumerate(examples):
        real = encoded.arrays["attention_mask"][row]
        assert tiny_tokenizer.decode(ids[row][real]) == example.text
        assert set(ids[row][~real]) == {tiny_tokenizer.pad_token_id}


def test_texts_that_were_cut_are_counted(tiny_bases, tiny_dataset):
    short = HeadFormulation(tiny_bases["llama"], tiny_dataset.labels, max_length=8)
    encoded = encode(short, [Example("w1 " * length, "east") for length in (7, 8, 9, 31)])
    assert encoded.truncated == 2
    assert encoded.arrays["input_ids"].shape == (4, 8)
    np.testing.assert_array_equal(encoded.arrays["attention_mask"].sum(axis=1), [7, 8, 8, 8])


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
@pytest.mark.parametrize("count", [1, 7, 41])
def test_every_example_is_in_one_batch(batch_size, count):
    lengths = np.random.default_rng(count).integers(1, 51, count)
    tokens = [[index + 1] * length for index, length in enumerate(lengths)]
    seen, shapes = [], []
    for rows, arrays in batches_by_length(tokens, batch_size, limit=50, pad=0):
        shapes.append(arrays["input_ids"].shape)
        assert 1 <= len(rows) <= batch_size
        for row, index in enumerate(rows):
            real = arrays["attention_mask"][row]
            assert arrays["input_ids"][row][real].tolist() == tokens[index]
            assert not arrays["input_ids"][row][~real].any()
        # A batch is filled with a real example, so that no row is padding only.
        assert arrays["attention_mask"][:, 0].all()
        seen += rows.tolist()
    assert sorted(seen) == list(range(count))
    assert len(shapes) == -(-count // batch_size)
    assert {length for _, length in shapes} <= set(bucket_lengths(50))
    assert {size for size, _ in shapes} == {batch_size}


def test_examples_of_like_length_stand_together():
    tokens = [[1] * length for length in (20, 3, 40, 16, 17, 1)]
    batches = list(batches_by_length(tokens, 3, limit=64, pad=0))
    assert [rows.tolist() for rows, _ in batches] == [[5, 1, 3], [4, 0, 2]]
    assert [arrays["input_ids"].shape for _, arrays in batches] == [(3, 16), (3, 48)]


def test_labels_are_numbered_in_the_order_of_the_classes():
    examples = [Example("x", label) for label in ("b", "a", "c", "b")]
    np.testing.assert_array_equal(label_indices(examples, ("c", "b", "a")), [1, 2, 0, 1])


def test_any_token_pads_where_the_tokenizer_has_none_for_it(byte_tokenizer, tiny_bases):
    unpadded = dataclasses.replace(tiny_bases["llama"], tokenizer=byte_tokenizer)
    assert byte_tokenizer.pad_token_id is None
    assert pad_id(HeadFormulation(unpadded, ("a", "b"))) == 0

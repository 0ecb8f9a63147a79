import numpy as np

from fsl_jax.formulations.tokenized import Tokenized


def test_each_example_has_one_segment_by_default():
    tokenized = Tokenized([[1], [2, 3]], truncated=0)
    assert tokenized.width == 1
    assert tokenized.owners.tolist() == [0, 1]
    assert tokenized.places.tolist() == [0, 1]


def test_segments_belong_to_examples_in_order():
    tokenized = Tokenized([[1], [2], [3], [4]], 0, counts=np.int32([1, 2, 1]))
    assert tokenized.width == 2
    assert tokenized.owners.tolist() == [0, 1, 1, 2]
    assert tokenized.places.tolist() == [0, 2, 3, 4]

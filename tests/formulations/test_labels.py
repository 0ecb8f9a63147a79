import numpy as np

from fsl_jax.data.examples import text_example
from fsl_jax.formulations.labels import label_indices, most_probable


def test_labels_become_indices_and_the_largest_logit_a_label():
    examples = [text_example("x", label) for label in ("b", "a", "c", "b")]
    found = label_indices(examples, ("a", "b", "c"))
    assert found.dtype == np.int32
    assert found.tolist() == [1, 0, 2, 1]
    logits = np.float32([[0, 2, 1], [3, 2, 1], [-3, -2, -1]])
    assert most_probable(logits, ("a", "b", "c")) == ["b", "a", "c"]

import numpy as np

from fsl_jax.training.predicted import Predicted


def test_missing_answers_are_counted_and_windows_are_joined():
    windows = [np.array([["a", "b"], ["c", "d"]], object), np.array([["e"], ["f"]], object)]
    found = Predicted([["a", None, "e"], [None, None, "f"]], windows, 0, [0, 0])
    assert found.unreadable == [1, 2]
    assert found.outputs.tolist() == [["a", "b", "e"], ["c", "d", "f"]]

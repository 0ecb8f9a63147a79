"""Checks that every kind of low-rank adapter shares."""

import numpy as np
import pytest

from fsl_jax.errors import InputError


@pytest.fixture
def require_faults_together():
    """Checks that `read((values, tensors), base)` tells all that is wrong in one error."""

    def check(read, files, base):
        values, tensors = files
        smuggled = "base_model.model.model.embed_tokens.weight"
        values |= {"bias": "all", "modules_to_save": ["embed_tokens"]}
        with pytest.raises(InputError) as error:
            read((values, tensors | {smuggled: np.zeros((50, 16), np.float32)}), base)
        assert error.value.problems == (
            "bias is 'all', which is not supported",
            "modules_to_save is ['embed_tokens'], which is not supported: merge it in PEFT "
            "(`merge_and_unload`), and load the model, with its head",
            f"not known: {smuggled}",
        )

    return check

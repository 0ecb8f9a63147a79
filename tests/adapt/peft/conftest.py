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
        values |= {"bias": "all", "modules_to_save": ["up_proj"]}
        with pytest.raises(InputError) as error:
            read((values, tensors | {smuggled: np.zeros((50, 16), np.float32)}), base)
        assert error.value.problems == (
            "bias is 'all', which is not supported",
            *(
                f"missing: layers.{layer}.mlp.up_proj.weight, of a module in modules_to_save"
                for layer in range(3)
            ),
            f"{smuggled} is an embedding of its own in PEFT, and tiny-llama has one for reading "
            "and for writing. Merge the adapter in PEFT (`merge_and_unload`), untie the embeddings "
            "there, and load the model",
        )

    return check

"""The table of the parameters that a method trains."""

import jax
import jax.numpy as jnp

from fsl_jax.adapt import LoRA, attach, summarise


def test_paths_shapes_counts_and_share(bert):
    params, mask = attach(bert.params, LoRA(rank=2, targets="query$"), jax.random.key(0))
    summary = summarise(params, mask)
    total = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert summary.trained == {
        "layers/attention/query/lora_a": (3, 16, 2),
        "layers/attention/query/lora_b": (3, 2, 16),
    }
    assert (summary.trainable_parameters, summary.total_parameters) == (192, total)
    lines = str(summary).splitlines()
    assert lines[0].split() == ["layers/attention/query/lora_a", "[3,", "16,", "2]", "96"]
    assert lines[-1] == f"trained: 192 of {total:,} parameters ({192 / total:.3%})"


def test_shapes_are_enough():
    shapes = {
        "a": jax.ShapeDtypeStruct((2, 3), jnp.float32),
        "b": jax.ShapeDtypeStruct((4,), jnp.float32),
    }
    assert summarise(shapes, {"a": True, "b": False}).share == 0.6

import jax
import numpy as np

from fsl_jax.adapt import LoRA
from fsl_jax.adapt.tree import flatten
from fsl_jax.training.adapted_models import join_leaves


def test_shapes_are_those_of_the_parameters_that_a_model_reads(tiny_problem, trial):
    methods = [LoRA(2), LoRA(3, alpha=4.0)]
    models = tiny_problem("llama-template", [trial(each) for each in methods]).stack.models
    assert models.count == 2
    own = jax.tree.map(lambda leaf: leaf[1], (models.trainable, models.frozen_leaves))
    params = join_leaves(models.method, *own, models.shared)
    shapes = flatten(models.shapes)
    assert shapes.keys() == flatten(params).keys()
    assert {path: leaf.shape for path, leaf in flatten(params).items()} == {
        path: shape.shape for path, shape in shapes.items()
    }
    lora_a = next(path for path in shapes if path.endswith("lora_a"))
    np.testing.assert_array_equal(flatten(params)[lora_a], flatten(models.trainable)[lora_a][1])

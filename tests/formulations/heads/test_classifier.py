"""The model's own head as a formulation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.classifier import ClassifierFormulation
from fsl_jax.formulations.registry import restore_formulation
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.heads import head_shapes
from fsl_jax.models.families.registry import FAMILIES


@pytest.fixture
def classifier(tiny_bases):
    """Makes a model that classifies texts, by its own head."""

    def make(family):
        base, random = tiny_bases[family], np.random.default_rng(0)
        style = FAMILIES[base.config.family].classifier
        shapes = head_shapes(base.config, SEQUENCE_CLASSIFICATION, style, 3)
        leaves = flatten(base.params) | {
            path: jnp.asarray(random.normal(size=shape), jnp.float32)
            for path, shape in shapes.items()
        }
        return dataclasses.replace(
            base, head=SEQUENCE_CLASSIFICATION, labels=("a", "b", "c"), params=unflatten(leaves)
        )

    return make


@pytest.mark.parametrize(
    ("family", "method"),
    [("bert", "lora(2)"), ("llama", "prompt_tuning(2)"), ("t5", "prompt_tuning(2)")],
)
def test_it_gives_the_logits_of_the_models_head(
    classifier, adapted, assert_same, family, method, texts
):
    pretrained = classifier(family)
    formulation = ClassifierFormulation.of(pretrained)
    assert isinstance(formulation, Formulation)
    assert formulation.labels == ("a", "b", "c")
    params = adapted(pretrained, method)
    assert formulation.prepare(params, jax.random.key(0)) is params

    def logits(params, ids, mask):
        return pretrained.apply(params, ids, mask).logits

    assert_same(formulation, params, texts, logits)


def test_its_description_has_no_pooling_and_gives_it_back(classifier):
    pretrained = classifier("bert")
    formulation = ClassifierFormulation(pretrained, ("c", "a", "b"), max_length=9)
    described = {"name": "classifier", "labels": ["c", "a", "b"], "max_length": 9}
    assert formulation.describe() == described
    restored = restore_formulation(described, pretrained)
    assert isinstance(restored, ClassifierFormulation)
    assert restored.describe() == described


def test_a_model_without_such_a_head_is_refused(tiny_bases):
    with pytest.raises(InputError, match="loaded with the head None"):
        ClassifierFormulation(tiny_bases["llama"], ("a", "b"))

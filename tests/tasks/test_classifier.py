"""The model's own head as a formulation."""

import dataclasses

import jax
import numpy as np
import pytest

from fsl_jax.data.examples import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks.classifier import ClassifierFormulation
from fsl_jax.tasks.formulation import Formulation


@pytest.fixture
def classifier(tiny_bases):
    base, random = tiny_bases["llama"], np.random.default_rng(0)
    kernel = random.normal(size=(16, 3)).astype(np.float32)
    params = base.params | {"classifier": {"output": {"kernel": jax.device_put(kernel)}}}
    return dataclasses.replace(
        base, head="sequence_classification", labels=("a", "b", "c"), params=params
    )


def test_it_gives_the_logits_of_the_models_head(classifier):
    formulation = ClassifierFormulation.of(classifier)
    assert isinstance(formulation, Formulation)
    assert formulation.labels == ("a", "b", "c")
    assert formulation.prepare(classifier.params, jax.random.key(0)) is classifier.params
    tokens, _ = formulation.tokenize([Example("w1 w2 w3", "a")])
    ids = np.array(tokens, np.int32)
    batch = jax.device_put({"input_ids": ids, "attention_mask": ids >= 0})
    logits = formulation.logits(classifier.params, batch)
    expected = classifier.apply(classifier.params, ids, ids >= 0).logits
    np.testing.assert_array_equal(logits, expected)
    assert logits.shape == (1, 3)


def test_a_model_without_such_a_head_is_refused(tiny_bases):
    with pytest.raises(InputError, match="loaded with the head None"):
        ClassifierFormulation(tiny_bases["llama"], ("a", "b"))

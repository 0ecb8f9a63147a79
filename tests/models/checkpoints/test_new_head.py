"""Heads that a checkpoint lacks."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.sharding import make_mesh


def test_a_head_that_the_checkpoint_lacks_is_drawn_and_said_so(directory, caplog):
    path, leaves = directory("bert")

    def load(**options):
        options = {"head": "sequence_classification", "num_labels": 3} | options
        return flatten_dict(fsl_jax.load(path, **options).params, sep="/")

    with caplog.at_level(logging.WARNING, logger="absl"):
        found = load()
    (record,) = caplog.records
    for name in ("no head sequence_classification", "classifier/output/kernel", "pooler/bias"):
        assert name in record.getMessage()
    for name, leaf in leaves.items():
        np.testing.assert_array_equal(found[name], leaf)
    drawn = found["pooler/kernel"]
    assert found["classifier/output/kernel"].shape == (32, 3)
    assert 0.8 < float(jnp.std(drawn)) / 0.02 < 1.2
    np.testing.assert_array_equal(found["classifier/output/bias"], np.zeros(3))
    np.testing.assert_array_equal(load(key=jax.random.key(0))["pooler/kernel"], drawn)
    assert jnp.any(load(key=jax.random.key(1))["pooler/kernel"] != drawn)


def test_as_many_classes_as_the_checkpoint_has(directory):
    path, _ = directory("llama", "sequence_classification", 3)
    head = "sequence_classification"
    same = fsl_jax.load(path, head=head, num_labels=3)
    assert same.params["classifier"]["output"]["kernel"].shape == (32, 3)
    with pytest.raises(InputError, match="has 3 classes, and num_labels=2"):
        fsl_jax.load(path, head=head, num_labels=2)


def test_somebody_has_to_say_how_many_classes_there_are(directory):
    path, _ = directory("bert")
    with pytest.raises(InputError, match="Say how many classes it must have, with num_labels"):
        fsl_jax.load(path, head="token_classification")


def test_a_head_is_laid_out_on_a_mesh_too(directory):
    path, _ = directory("bert")
    mesh = make_mesh(batch=2, model=4)
    pretrained = fsl_jax.load(path, head="sequence_classification", num_labels=3, mesh=mesh)
    leaves = jax.tree.leaves(pretrained.params)
    assert all(len(leaf.devices()) == 8 for leaf in leaves)
    assert pretrained.params["classifier"]["output"]["kernel"].shape == (32, 3)

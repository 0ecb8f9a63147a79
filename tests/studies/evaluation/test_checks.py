"""Adapters that do not fit the data or their own labels."""

import jax
import jax.numpy as jnp
import pytest

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.studies.evaluation.evaluate import evaluate_adapter


def test_labels_that_the_adapter_does_not_know_are_listed(bert, head_adapter, garden):
    data = Dataset("woods", (), (), garden.test, ("fern", "fruit", "herb", "tree"))
    with pytest.raises(InputError) as error:
        evaluate_adapter(bert, head_adapter, data)
    assert "labels 'herb', 'fruit', 'moss'. woods has labels" in str(error.value)
    assert str(error.value).splitlines()[1:] == ["  - 'fern'", "  - 'tree'"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [(("fruit", "herb"), r"head/kernel is of shape \[8, 3\], expected \[8, 2\]")],
)
def test_a_head_for_other_labels_is_refused(bert, tmp_path, labels, message, garden, leaves_of):
    formulation = HeadFormulation(bert, ("fruit", "herb", "moss"))
    prepared = formulation.prepare(bert.params, jax.random.key(0))
    description = formulation.describe() | {"labels": list(labels)}
    save_adapter(tmp_path, leaves_of(bert, BitFit(), prepared), BitFit(), bert, description)
    with pytest.raises(InputError, match=message):
        evaluate_adapter(bert, tmp_path, garden)


def test_an_adapter_without_the_head_that_its_description_needs_is_refused(
    bert, tmp_path, garden, leaves_of
):
    formulation = HeadFormulation(bert, ("fruit", "herb"))
    leaves = leaves_of(bert, BitFit(), bert.params)
    save_adapter(tmp_path, leaves, BitFit(), bert, formulation.describe())
    with pytest.raises(InputError, match=r"head/kernel is missing, expected \[8, 2\]"):
        evaluate_adapter(bert, tmp_path, garden)


def test_logits_that_are_no_numbers_are_refused(bert, tmp_path, garden, leaves_of):
    formulation = HeadFormulation(bert, ("fruit", "herb"))
    prepared = formulation.prepare(bert.params, jax.random.key(0))
    leaves = flatten(leaves_of(bert, BitFit(), prepared))
    leaves["head/bias"] = jnp.array([0.0, jnp.nan])
    description = formulation.describe()
    save_adapter(tmp_path, unflatten(leaves), BitFit(), bert, description)
    with pytest.raises(InputError, match="for 5 of 5 texts the outputs are not numbers"):
        evaluate_adapter(bert, tmp_path, garden)

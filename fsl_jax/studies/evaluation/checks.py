"""Errors about an adapter that does not fit the data or its own labels."""

from typing import Any

import jax
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_files import Adapter
from fsl_jax.adapt.tree import flatten
from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError, problems_error
from fsl_jax.formulations.formulation import Formulation


def require_known_labels(dataset: Dataset, labels: tuple[str, ...]) -> None:
    """Raise an error unless the adapter knows all labels of the data.

    Args:
      dataset: the data.
      labels: the labels that the adapter was trained for.

    Raises:
      InputError: the data has other labels; the error names all of them.
    """
    unknown = [repr(label) for label in dataset.labels if label not in labels]
    if unknown:
        raise problems_error(
            f"the adapter was trained for the labels {', '.join(map(repr, labels))}. "
            f"{dataset.name} has labels that it does not know; rename or remove them:",
            unknown,
        )


def require_head(adapter: Adapter, formulation: Formulation) -> None:
    """Raise an error unless the adapter has the head that its formulation reads.

    Args:
      adapter: the adapter.
      formulation: its formulation.

    Raises:
      InputError: leaves of the head are missing or of another shape; the error names all of them.
    """
    expected = jax.eval_shape(lambda: formulation.prepare({}, jax.random.key(0)))
    leaves = flatten(adapter.params)
    problems = []
    for path, leaf in flatten(expected).items():
        shape = list(leaves[path].shape) if path in leaves else None
        if shape != list(leaf.shape):
            state = "missing" if shape is None else f"of shape {shape}"
            problems.append(f"{path} is {state}, expected {list(leaf.shape)}")
    if problems:
        raise problems_error(
            f"the adapter's head does not fit its formulation {formulation.name}:", problems
        )


def require_finite(outputs: Any, directory: epath.PathLike) -> None:
    """Raise an error unless all outputs are finite.

    Args:
      outputs: an array with a row for each text, or a tree of such.
      directory: the directory of the adapter.

    Raises:
      InputError: outputs are infinite or NaN; the error gives the number of texts.
    """
    rows = [np.isfinite(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(outputs)]
    failed = np.any([~of_leaf.all(axis=1) for of_leaf in rows], axis=0)
    if failed.any():
        raise InputError(
            f"{directory}: for {failed.sum()} of {len(failed)} texts the outputs are not numbers: "
            "the adapter's training went wrong, or another dtype is needed"
        )

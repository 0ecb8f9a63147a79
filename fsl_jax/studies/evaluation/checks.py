"""Errors about an adapter that does not fit the data or its own labels."""

import jax
import numpy as np
from etils import epath
from jaxtyping import Float

from fsl_jax.adapt.files.adapter_files import Adapter
from fsl_jax.adapt.tree import flatten
from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError, problems_error
from fsl_jax.tasks.formulation import Formulation


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
        labels = len(formulation.labels)
        raise problems_error(f"the adapter's head does not fit its {labels} labels:", problems)


def require_finite(logits: Float[np.ndarray, "E C"], directory: epath.PathLike) -> None:
    """Raise an error unless all class logits are finite.

    Args:
      logits: the class logits of the examples.
      directory: the directory of the adapter.

    Raises:
      InputError: logits are infinite or NaN; the error gives the number of texts.
    """
    failed = int((~np.isfinite(logits)).any(axis=1).sum())
    if failed:
        raise InputError(
            f"{directory}: for {failed} of {len(logits)} texts the class logits are not numbers: "
            "the adapter's training went wrong, or another dtype is needed"
        )

"""The labels of a head that an adapter from PEFT brings."""

from typing import Any

from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError


def matching_labels(dataset: Dataset, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels of a data set for the classes of a head, in the order of the head.

    Args:
      dataset: the data.
      names: the names of the head's classes.

    Returns:
      The names. If the classes are only numbered and the data has numbers as labels, the numbers.

    Raises:
      InputError: the classes are only numbered, and the labels of the data are neither the numbers
        nor these names.
    """
    numbered = tuple(f"LABEL_{number}" for number in range(len(names)))
    if names != numbered or set(dataset.labels) <= set(names):
        return names
    numbers = tuple(str(number) for number in range(len(names)))
    if set(dataset.labels) <= set(numbers):
        return numbers
    raise InputError(
        f"the head has {len(names)} classes without names, and the labels of {dataset.name} are "
        f"{', '.join(map(repr, dataset.labels))}, in an order that no file tells. Write a "
        'config.json beside the adapter that names the classes: {"id2label": {"0": …, "1": …}}.'
    )


def require_no_prompt(template: Any, verbalizer: Any) -> None:
    """Raise an error if a template or a verbalizer is given for a model that has a head."""
    if template is not None or verbalizer is not None:
        raise InputError(
            "this adapter brings a head, which reads the texts without a prompt: give no template "
            "and no verbalizer"
        )

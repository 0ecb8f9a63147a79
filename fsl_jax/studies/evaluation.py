"""How well a saved adapter does on a data set."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_files import Adapter, load_adapter
from fsl_jax.adapt.methods.registry import format_method
from fsl_jax.adapt.partition import partition
from fsl_jax.adapt.tree import flatten
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.data.splits import test_subset
from fsl_jax.errors import InputError, problems_error
from fsl_jax.files import write_json
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.environment import describe as describe_environment
from fsl_jax.studies.planning.formulations import describe_formulation, restore_formulation
from fsl_jax.studies.records.jsonl import Record, write_records
from fsl_jax.tasks.encoding import label_indices
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.tasks.verbalizer import Verbalizer
from fsl_jax.training.predict import predict


@dataclasses.dataclass(frozen=True)
class Prediction(Record):
    """One line of `predictions.jsonl`.

    Attributes:
      index: the example's place among those that were evaluated.
      text_sha256: SHA-256 of its text in UTF-8, by which it is found again.
      label: its label.
      prediction: the most probable label.
      probabilities: of each label, from 0 to 1.
    """

    index: int
    text_sha256: str
    label: str
    prediction: str
    probabilities: dict[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What an adapter made of a test set of E examples in C classes.

    Attributes:
      adapter: the adapter.
      formulation: how examples became tokens and class logits.
      dataset: the data.
      examples: those that were evaluated.
      logits: float32 `[E, C]`.
    """

    adapter: Adapter
    formulation: Formulation
    dataset: Dataset
    examples: tuple[Example, ...]
    logits: np.ndarray

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """How many examples of a class (row) were taken for a class (column), `[C, C]`."""
        labels = self.formulation.labels
        counts = np.zeros((len(labels), len(labels)), np.int64)
        truth = label_indices(self.examples, labels)
        np.add.at(counts, (truth, self.logits.argmax(axis=1)), 1)
        return counts

    @property
    def accuracy(self) -> float:
        """The share of examples whose most probable label is theirs, from 0 to 1."""
        return float(np.trace(self.confusion)) / len(self.examples)

    @functools.cached_property
    def truncated(self) -> int:
        """How many texts were longer than the formulation's limit and were cut."""
        return self.formulation.tokenize(self.examples)[1]

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        """For each label its examples, predictions and hits, and precision, recall and F1.

        A share of nothing is None: the precision of a label that was never predicted.
        """
        rows = {}
        for place, label in enumerate(self.formulation.labels):
            examples, predicted = self.confusion[place].sum(), self.confusion[:, place].sum()
            correct = self.confusion[place, place]
            rows[label] = {
                "examples": int(examples),
                "predicted": int(predicted),
                "correct": int(correct),
                "precision": _share(correct, predicted),
                "recall": _share(correct, examples),
                "f1": _share(2 * correct, examples + predicted),
            }
        return rows

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """A record for each example, in order."""
        labels = self.formulation.labels
        probabilities = np.exp(self.logits - self.logits.max(axis=1, keepdims=True), dtype=float)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        return tuple(
            Prediction(
                index=index,
                text_sha256=hashlib.sha256(example.text.encode()).hexdigest(),
                label=example.label,
                prediction=labels[int(row.argmax())],
                probabilities=dict(zip(labels, (round(p, 6) for p in row.tolist()), strict=True)),
            )
            for index, (example, row) in enumerate(zip(self.examples, probabilities, strict=True))
        )

    def __str__(self) -> str:
        """The accuracy, and a line for each class."""
        width = max(map(len, ("class", *self.formulation.labels)))
        columns = ("examples", "predicted", "correct", "precision", "recall", "f1")
        lines = [f"{'class':<{width}}" + "".join(f"{column:>11}" for column in columns)]
        for label, row in self.classes.items():
            lines.append(f"{label:<{width}}" + "".join(f"{_cell(row[c]):>11}" for c in columns))
        correct, total = int(np.trace(self.confusion)), len(self.examples)
        lines += ["", f"accuracy {self.accuracy:.1%} ({correct} of {total})"]
        if self.truncated:
            limit = self.formulation.limit
            lines.append(f"{self.truncated} texts were longer than {limit} tokens and were cut")
        return "\n".join(lines)


def evaluate_adapter(
    pretrained: Pretrained,
    directory: epath.PathLike,
    dataset: Dataset,
    *,
    max_test: int | None = None,
    batch_size: int = 32,
    template: str | None = None,
    verbalizer: Mapping[str, str | Sequence[str]] | None = None,
) -> Evaluation:
    """Evaluates a saved adapter on the test set of a data set.

    Args:
      pretrained: the base model.
      directory: the adapter's directory, from a study or from PEFT.
      dataset: the data. An adapter that PEFT made does not say which labels it is for: they are
        those of the data.
      max_test: test examples at most; None for all.
      batch_size: how many examples are read at a time.
      template: text with the field `{text}`, for an adapter that PEFT made; others bring theirs.
      verbalizer: words by label, likewise; a label that is not named stands for itself.

    Returns:
      The evaluation.

    Raises:
      InputError: the adapter cannot be used with this model or on this data.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; expected at least 1")
    examples = test_subset(dataset, max_test)
    adapter = load_adapter(directory, pretrained)
    formulation = _formulation(adapter, pretrained, dataset, template, verbalizer)
    _require_known_labels(dataset, formulation.labels)
    _require_head(adapter, formulation)
    logits = _predict(adapter, formulation, examples, batch_size)
    if lost := int((~np.isfinite(logits)).any(axis=1).sum()):
        raise InputError(
            f"{directory}: for {lost} of {len(examples)} texts the class logits are not numbers: "
            "the adapter's training went wrong, or another dtype is needed"
        )
    return Evaluation(adapter, formulation, dataset, examples, logits)


def write_evaluation(
    output: epath.PathLike, evaluation: Evaluation, adapter: epath.PathLike
) -> None:
    """Writes `predictions.jsonl` and then `evaluation.json`.

    Args:
      output: the directory to write to; made if it is not there.
      evaluation: from `evaluate_adapter`.
      adapter: the directory of the adapter, as it was given.
    """
    pretrained, dataset = evaluation.formulation.pretrained, evaluation.dataset
    labels = list(evaluation.formulation.labels)
    write_records(epath.Path(output) / "predictions.jsonl", evaluation.predictions)
    values = {
        "model": pretrained.name,
        "model_sha256": pretrained.sha256,
        "adapter": str(adapter),
        "method": format_method(evaluation.adapter.method),
        "formulation": describe_formulation(evaluation.formulation),
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "metric": "accuracy",
        "accuracy": evaluation.accuracy,
        "examples": len(evaluation.examples),
        "truncated": evaluation.truncated,
        "classes": evaluation.classes,
        "confusion": {"labels": labels, "counts": evaluation.confusion.tolist()},
        "environment": describe_environment(),
    }
    write_json(epath.Path(output) / "evaluation.json", values)


def _formulation(
    adapter: Adapter,
    pretrained: Pretrained,
    dataset: Dataset,
    template: str | None,
    verbalizer: Mapping[str, str | Sequence[str]] | None,
) -> Formulation:
    if adapter.description is not None:
        if template is not None or verbalizer is not None:
            raise InputError(
                "this adapter brings the template and the verbalizer that it was trained with: "
                "give none"
            )
        return restore_formulation(adapter.description, pretrained)
    if not pretrained.is_language_model:
        raise InputError(
            f"an adapter of {pretrained.name} that PEFT made has no head that could classify: "
            "evaluate one that a study saved, or one of a language model, which a template asks"
        )
    words = Verbalizer.from_mapping(dataset.labels, verbalizer)
    chosen = Template() if template is None else Template(template)
    return TemplateFormulation(pretrained, dataset.labels, chosen, words)


def _require_known_labels(dataset: Dataset, labels: tuple[str, ...]) -> None:
    unknown = [repr(label) for label in dataset.labels if label not in labels]
    if unknown:
        raise problems_error(
            f"the adapter was trained for the labels {', '.join(map(repr, labels))}. "
            f"{dataset.name} has labels that it does not know; rename or remove them:",
            unknown,
        )


def _require_head(adapter: Adapter, formulation: Formulation) -> None:
    """The head that the formulation reads has to be among the adapter's leaves."""
    made = jax.eval_shape(lambda: formulation.prepare({}, jax.random.key(0)))
    leaves = flatten(adapter.params)
    found = []
    for path, leaf in flatten(made).items():
        shape = list(leaves[path].shape) if path in leaves else None
        if shape != list(leaf.shape):
            there = "missing" if shape is None else f"of shape {shape}"
            found.append(f"{path} is {there}, expected {list(leaf.shape)}")
    if found:
        labels = len(formulation.labels)
        raise problems_error(f"the adapter's head does not fit its {labels} labels:", found)


def _predict(
    adapter: Adapter, formulation: Formulation, examples: Sequence[Example], batch_size: int
) -> np.ndarray:
    own, shared = partition(adapter.params, adapter.mask)
    stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], own)
    none = jax.tree.map(lambda _: None, adapter.mask)
    return predict(formulation, adapter.method, stacked, none, shared, examples, batch_size)[0]


def _share(part: np.integer, whole: np.integer) -> float | None:
    return float(part) / float(whole) if whole else None


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)

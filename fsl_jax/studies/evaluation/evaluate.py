"""Evaluate a saved adapter on the test set of a data set."""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from fsl_jax.adapt.files.adapter_files import Adapter, load_adapter
from fsl_jax.adapt.files.brought_base import with_brought_head
from fsl_jax.adapt.partition import partition
from fsl_jax.data.examples import Dataset
from fsl_jax.data.splits import test_subset
from fsl_jax.errors import InputError
from fsl_jax.formulations.formulation import Formulation, WritingFormulation
from fsl_jax.formulations.heads.classifier import ClassifierFormulation
from fsl_jax.formulations.objectives.classification import ClassificationObjective
from fsl_jax.formulations.registry import restore_formulation
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.verbalizer import Verbalizer
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.windows import BATCH_TOKENS
from fsl_jax.studies.evaluation.brought_labels import matching_labels, require_no_prompt
from fsl_jax.studies.evaluation.checks import require_finite, require_head, require_known_labels
from fsl_jax.studies.evaluation.evaluation import Evaluation
from fsl_jax.training.adapted_models import AdaptedModels
from fsl_jax.training.generating_predictor import GeneratingPredictor
from fsl_jax.training.predictor import Predictor
from fsl_jax.training.predictors import make_predictor


def evaluate_adapter(
    pretrained: Pretrained,
    directory: epath.PathLike,
    dataset: Dataset,
    *,
    max_test: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    template: str | None = None,
    verbalizer: Mapping[str, str | Sequence[str]] | None = None,
) -> Evaluation:
    """Evaluate a saved adapter on the test set of a data set.

    Args:
      pretrained: the base model.
      directory: the adapter's directory, from a study or from PEFT.
      dataset: the data, of which the test set is evaluated. An adapter from PEFT has no labels,
        unless it brings a head: its classes are then named by the base model's `id2label`, or
        numbered. Without a head, the labels are those of the data, or those of a verbalizer that
        has all of them.
      max_test: the maximum number of test examples; None for all.
      batch_tokens: about the number of tokens that are read at a time.
      template: text with the field `{text}`, for an adapter from PEFT. An adapter from a study has
        its own.
      verbalizer: words by label, for an adapter from PEFT. A missing label is its own label word.

    Returns:
      The evaluation.

    Raises:
      InputError: the adapter cannot be used with this model or on this data.
    """
    if batch_tokens < 1:
        raise InputError(f"batch_tokens is {batch_tokens}; expected at least 1")
    examples = test_subset(dataset, max_test)
    pretrained = with_brought_head(directory, pretrained)
    adapter = load_adapter(directory, pretrained)
    formulation = _formulation(adapter, pretrained, dataset, template, verbalizer)
    if formulation.labels:
        require_known_labels(dataset, formulation.labels)
    require_head(adapter, formulation)
    predicted = _predictor(adapter, formulation, batch_tokens).predict(examples)
    windows = [jax.tree.map(lambda leaf: leaf[0], window) for window in predicted.windows]
    if not isinstance(formulation, WritingFormulation):
        for window in windows:
            require_finite(window, directory)
    has_classes = isinstance(formulation.objective, ClassificationObjective)
    logits = np.concatenate(windows) if has_classes else None
    return Evaluation(
        adapter,
        formulation,
        dataset,
        examples,
        tuple(predicted.answers[0]),
        logits,
        predicted.truncated,
        predicted.cut_answers[0],
    )


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
    if pretrained.labels:
        require_no_prompt(template, verbalizer)
        labels = matching_labels(dataset, pretrained.labels)
        return ClassifierFormulation(pretrained, labels)
    if not pretrained.is_language_model:
        raise InputError(
            f"an adapter of {pretrained.name} that PEFT made has no head that could classify: "
            "evaluate one that a study saved, or one of a language model, which a template asks"
        )
    labels = _labels(dataset, verbalizer)
    words = Verbalizer.from_mapping(labels, verbalizer)
    chosen = Template() if template is None else Template(template)
    return TemplateFormulation(pretrained, labels, chosen, words)


def _labels(
    dataset: Dataset, verbalizer: Mapping[str, str | Sequence[str]] | None
) -> tuple[str, ...]:
    """Return the classes of an adapter that does not name them."""
    # The data may lack a class. Only a verbalizer for all of its classes can add others.
    named = set(verbalizer or ())
    labels = tuple(sorted(named)) if named.issuperset(dataset.labels) else dataset.labels
    if len(labels) < 2:
        raise InputError(
            f"{dataset.name} has only the label {labels[0]!r}, and an adapter from PEFT names no "
            "others: give a verbalizer with words for all labels"
        )
    return labels


def _predictor(
    adapter: Adapter, formulation: Formulation, batch_tokens: int
) -> Predictor | GeneratingPredictor:
    trained, shared = partition(adapter.params, adapter.mask)
    stacked = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], trained)
    no_leaves = jax.tree.map(lambda _: None, adapter.mask)
    model = AdaptedModels(adapter.method, stacked, no_leaves, shared)
    return make_predictor(formulation, model, batch_tokens=batch_tokens)

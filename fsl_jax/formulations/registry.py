"""The formulations by name, and how to make one again from its description."""

from collections.abc import Mapping
from typing import Any

from fsl_jax.errors import InputError, brief, problems_error
from fsl_jax.formulations.description import description_class
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.choice_head import ChoiceHead
from fsl_jax.formulations.heads.classifier import ClassifierFormulation
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.heads.marker_head import MarkerHead
from fsl_jax.formulations.heads.multicolumn_head import MulticolumnHead
from fsl_jax.formulations.heads.multilabel_head import MultilabelHead
from fsl_jax.formulations.heads.regression_head import RegressionHead
from fsl_jax.formulations.heads.span_head import SpanHead
from fsl_jax.formulations.heads.word_head import WordHead
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.writing.written import WrittenFormulation
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.validation import checked_fields

FORMULATIONS: dict[str, Any] = {
    kind.name: kind
    for kind in (
        HeadFormulation,
        ClassifierFormulation,
        MultilabelHead,
        MulticolumnHead,
        RegressionHead,
        WordHead,
        MarkerHead,
        SpanHead,
        ChoiceHead,
        TemplateFormulation,
        WrittenFormulation,
    )
}
"""The class of each formulation."""


def restore_formulation(described: Mapping[str, Any], pretrained: Pretrained) -> Formulation:
    """Make the formulation that `Formulation.describe` described.

    Args:
      described: the description.
      pretrained: the model.

    Returns:
      The formulation.

    Raises:
      InputError: the formulation is not known, or parts of the description are missing or of
        another kind; the error lists all.
    """
    name = described.get("name")
    kind = FORMULATIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(
            f"the adapter's description of its task names the formulation {brief(name)}; known: "
            f"{', '.join(sorted(FORMULATIONS))}. Save the adapter again"
        )
    try:
        values = checked_fields(description_class(kind), described)
    except InputError as error:
        raise problems_error(
            "the adapter's description of its task cannot be used; save the adapter again:",
            error.problems,
        ) from error
    if values["max_length"] < 1:
        raise InputError(
            f"the adapter's description has max_length {values['max_length']}; expected at least 1"
        )
    formulation: Formulation = kind.restore(pretrained, values)
    return formulation

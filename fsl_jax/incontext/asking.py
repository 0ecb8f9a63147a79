"""Choose how a frozen model answers: by the scores of label words, or by texts that it writes."""

from jax.sharding import Mesh

from fsl_jax.formulations.formulation import PromptFormulation, WritingFormulation
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.incontext.answer_writer import AnswerWriter
from fsl_jax.incontext.scoring import QueryScorer


def make_asker(
    formulation: PromptFormulation, mesh: Mesh | None = None
) -> QueryScorer | AnswerWriter:
    """Make the function that asks a model in the way of a formulation.

    Args:
      formulation: turns examples into prompts.
      mesh: the mesh, if there are several devices.

    Returns:
      A function of the parameters, the queries, the text before each of them, and a callback, that
      returns answers.
    """
    if isinstance(formulation, WritingFormulation):
        return AnswerWriter(formulation, mesh=mesh)
    assert isinstance(formulation, TemplateFormulation)
    return QueryScorer(formulation, mesh=mesh)

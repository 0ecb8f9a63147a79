"""Objectives: what the outputs of a model mean, as losses and as measures of what is right.

An objective is a pure function of outputs and targets in float32, and runs inside a compiled
program. Its statistics add up over examples, so that a measure of a whole validation set, such as
the F1 of entities, chooses parameters and stops a run early inside the program.
"""

from fsl_jax.formulations.objectives.choices import ChoiceObjective, ChoiceScores
from fsl_jax.formulations.objectives.classification import ClassificationObjective
from fsl_jax.formulations.objectives.multicolumn import MulticolumnObjective
from fsl_jax.formulations.objectives.multilabel import MultilabelObjective
from fsl_jax.formulations.objectives.objective import Losses, Objective
from fsl_jax.formulations.objectives.regression import RegressionObjective
from fsl_jax.formulations.objectives.spans import SpanLogits, SpanObjective, Spans
from fsl_jax.formulations.objectives.tagging import TaggingObjective, WordLogits
from fsl_jax.formulations.objectives.token_losses import token_losses
from fsl_jax.formulations.objectives.written import AnswerLosses, WrittenObjective, sum_by_example

__all__ = [
    "AnswerLosses",
    "ChoiceObjective",
    "ChoiceScores",
    "ClassificationObjective",
    "Losses",
    "MulticolumnObjective",
    "MultilabelObjective",
    "Objective",
    "RegressionObjective",
    "SpanLogits",
    "SpanObjective",
    "Spans",
    "TaggingObjective",
    "WordLogits",
    "WrittenObjective",
    "sum_by_example",
    "token_losses",
]

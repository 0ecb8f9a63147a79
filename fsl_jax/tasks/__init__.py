"""Text classification in two formulations: with a head, or with a template."""

from fsl_jax.tasks.encoding import Encoded, batches_by_length, encode
from fsl_jax.tasks.formulation import Batch, Formulation
from fsl_jax.tasks.head import HeadFormulation
from fsl_jax.tasks.row_logits import row_logits
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.tasks.verbalizer import Verbalizer

__all__ = [
    "Batch",
    "Encoded",
    "Formulation",
    "HeadFormulation",
    "Template",
    "TemplateFormulation",
    "Verbalizer",
    "batches_by_length",
    "encode",
    "row_logits",
]

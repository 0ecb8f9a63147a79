"""Text classification in two formulations: with a head, or with a template."""

from fsl_jax.packing.batch import Batch
from fsl_jax.tasks.batches import packed_batch, unpacked_batch
from fsl_jax.tasks.encoding import Encoded, encode
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.tasks.head import HeadFormulation
from fsl_jax.tasks.row_logits import row_logits, row_segments
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
    "encode",
    "packed_batch",
    "row_logits",
    "row_segments",
    "unpacked_batch",
]

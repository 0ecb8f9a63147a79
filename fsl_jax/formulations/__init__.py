"""Formulations, which say how a model is asked for an answer."""

from fsl_jax.formulations.batches import packed_batch, unpacked_batch
from fsl_jax.formulations.encoding import Encoded, encode
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.row_logits import row_logits, row_segments
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.verbalizer import Verbalizer
from fsl_jax.packing.batch import Batch

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

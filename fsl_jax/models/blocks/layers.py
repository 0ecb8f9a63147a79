"""The layers that every family is built from, with every hook that an adaptation has.

A layer applies an added leaf where it finds one beside its weight, and does nothing where it does
not. Only the files listed here compute with a weight and an added leaf. `added_leaves.py` has one
entry for each kind of leaf that they read.

Weights and activations are in the model's dtype. A leaf in another one, such as a float32 leaf that
is trained beside a bfloat16 base, is cast when it is read. Norms compute in float32.
"""

from fsl_jax.models.blocks.bottleneck import BOTTLENECK_ACTIVATIONS, Bottleneck
from fsl_jax.models.blocks.dense import Dense
from fsl_jax.models.blocks.dropout import NO_DROPOUT, Dropout, PRNGKey
from fsl_jax.models.blocks.embedding import Embedding, Unembedding
from fsl_jax.models.blocks.learned_prefix import learned_prefix
from fsl_jax.models.blocks.norms import LayerNorm, RMSNorm

__all__ = [
    "BOTTLENECK_ACTIVATIONS",
    "NO_DROPOUT",
    "Bottleneck",
    "Dense",
    "Dropout",
    "Embedding",
    "LayerNorm",
    "PRNGKey",
    "RMSNorm",
    "Unembedding",
    "learned_prefix",
]

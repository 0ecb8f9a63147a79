"""The layers of all families, with hooks for the leaves that adaptations add.

A layer applies an added leaf if it finds one beside its weight. Only the files listed here compute
with added leaves. `added_leaves.py` has one entry for each kind of leaf that they read.

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

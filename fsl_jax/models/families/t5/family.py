"""The families T5, with T5 1.1 and FLAN-T5, and mT5, which share one module."""

import dataclasses

from fsl_jax.models.blocks.classifiers import ClassifierStyle
from fsl_jax.models.families.family import Family, GGUFLayout
from fsl_jax.models.families.t5 import checkpoint, gguf, model

T5 = Family(
    module=model.T5,
    config=checkpoint.t5_config,
    tensor_map=checkpoint.t5_tensor_map,
    json=checkpoint.t5_json,
    heads=checkpoint.t5_heads,
    ties=checkpoint.TIES,
    classifier=ClassifierStyle("last", dense=True, bias=True, drops_input=True, drops=True),
    tokenizer_class="T5Tokenizer",
    gguf=GGUFLayout("t5", gguf.t5_gguf_config, gguf.t5_gguf_tensor_map),
    other_linear_layers=("lm_head",),
)

MT5 = dataclasses.replace(T5, gguf=None)

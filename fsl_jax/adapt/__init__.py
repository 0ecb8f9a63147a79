"""Adaptation methods, which add leaves to a model's parameters and mask which leaves train."""

from fsl_jax.adapt.attach import adapted, attach
from fsl_jax.adapt.files.adapter_files import Adapter, load_adapter, save_adapter
from fsl_jax.adapt.files.peft_directory import load_peft, save_peft
from fsl_jax.adapt.merging import merge
from fsl_jax.adapt.methods.adalora import AdaLoRA
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.methods.bottleneck import BottleneckAdapter
from fsl_jax.adapt.methods.full import Full
from fsl_jax.adapt.methods.ia3 import IA3
from fsl_jax.adapt.methods.joined import Joined
from fsl_jax.adapt.methods.linear_probe import LinearProbe
from fsl_jax.adapt.methods.ln_tuning import LNTuning
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.p_tuning import PTuning
from fsl_jax.adapt.methods.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.methods.prefix_tuning import PrefixTuning
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.methods.registry import METHODS, TRAINED_METHODS, parse_method
from fsl_jax.adapt.methods.top_layers import TopLayers
from fsl_jax.adapt.methods.vera import VeRA
from fsl_jax.adapt.partition import combine, partition
from fsl_jax.adapt.row_adapters import apply_rows, row_params
from fsl_jax.adapt.stacking import stack_adapters
from fsl_jax.adapt.summary import summarise
from fsl_jax.adapt.unmerging import unmerge

__all__ = [
    "IA3",
    "METHODS",
    "TRAINED_METHODS",
    "AdaLoRA",
    "Adapter",
    "BitFit",
    "BottleneckAdapter",
    "Full",
    "Joined",
    "LNTuning",
    "LinearProbe",
    "LoRA",
    "Method",
    "PTuning",
    "PTuningV2",
    "PrefixTuning",
    "PromptTuning",
    "TopLayers",
    "VeRA",
    "adapted",
    "apply_rows",
    "attach",
    "combine",
    "load_adapter",
    "load_peft",
    "merge",
    "parse_method",
    "partition",
    "row_params",
    "save_adapter",
    "save_peft",
    "stack_adapters",
    "summarise",
    "unmerge",
]

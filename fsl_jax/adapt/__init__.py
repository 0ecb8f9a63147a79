"""Ways of adapting: each adds leaves to the parameter tree and says by a mask which train."""

from fsl_jax.adapt.adalora import AdaLoRA
from fsl_jax.adapt.adapter_files import Adapter, load_adapter, save_adapter
from fsl_jax.adapt.attach import attach
from fsl_jax.adapt.batched import apply_rows, row_params, stack_adapters
from fsl_jax.adapt.bitfit import BitFit
from fsl_jax.adapt.bottleneck import BottleneckAdapter
from fsl_jax.adapt.full import Full
from fsl_jax.adapt.ia3 import IA3
from fsl_jax.adapt.joined import Joined
from fsl_jax.adapt.linear_probe import LinearProbe
from fsl_jax.adapt.ln_tuning import LNTuning
from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.merging import merge, unmerge
from fsl_jax.adapt.method import Method
from fsl_jax.adapt.p_tuning import PTuning
from fsl_jax.adapt.p_tuning_v2 import PTuningV2
from fsl_jax.adapt.partition import combine, partition
from fsl_jax.adapt.peft_directory import load_peft, save_peft
from fsl_jax.adapt.prefix_tuning import PrefixTuning
from fsl_jax.adapt.prompt_tuning import PromptTuning
from fsl_jax.adapt.registry import METHODS, parse_method
from fsl_jax.adapt.summary import summarise
from fsl_jax.adapt.top_layers import TopLayers
from fsl_jax.adapt.vera import VeRA

__all__ = [
    "IA3",
    "METHODS",
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

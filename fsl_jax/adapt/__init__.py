"""Ways of adapting: each adds leaves to the parameter tree and says by a mask which train."""

from fsl_jax.adapt.adapter_files import Adapter, load_adapter, save_adapter
from fsl_jax.adapt.attach import attach
from fsl_jax.adapt.bitfit import BitFit
from fsl_jax.adapt.full import Full
from fsl_jax.adapt.linear_probe import LinearProbe
from fsl_jax.adapt.lora import LoRA
from fsl_jax.adapt.method import Method
from fsl_jax.adapt.partition import combine, partition
from fsl_jax.adapt.peft_directory import load_peft, save_peft
from fsl_jax.adapt.registry import METHODS, parse_method
from fsl_jax.adapt.summary import summarise
from fsl_jax.adapt.top_layers import TopLayers

__all__ = [
    "METHODS",
    "Adapter",
    "BitFit",
    "Full",
    "LinearProbe",
    "LoRA",
    "Method",
    "TopLayers",
    "attach",
    "combine",
    "load_adapter",
    "load_peft",
    "parse_method",
    "partition",
    "save_adapter",
    "save_peft",
    "summarise",
]

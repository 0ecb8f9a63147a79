"""The names that `config.json` may have for the activation functions of layers.

transformers has several implementations of some functions, which agree to rounding.
"""

GELU = ("gelu", "gelu_python")
"""The names of the exact GELU."""

TANH_GELU = (
    "gelu_new",
    "gelu_pytorch_tanh",
    "gelu_python_tanh",
    "gelu_fast",
    "gelu_accurate",
)
"""The names of GELU's tanh approximation."""

SILU = ("silu", "swish")
"""The names of SiLU."""

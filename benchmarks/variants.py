"""The methods and settings that have a line in the tables of all methods."""

from fsl_jax.adapt.methods.registry import TRAINED_METHODS

VARIANTS = {
    "lora(scaling='rslora')": "Kalajdzievski 2023, https://arxiv.org/abs/2312.03732",
    "lora(dora=True)": "Liu et al. 2024, https://arxiv.org/abs/2402.09353",
    "lora(learning_rate_ratio=16)": "Hayou et al. 2024, https://arxiv.org/abs/2402.12354",
    "lora(start='pissa')": "Meng et al. 2024, https://arxiv.org/abs/2404.02948",
    "adapter(placement='houlsby')": None,
    "adapter(placement='parallel')": None,
    "p_tuning(encoder='mlp')": None,
    "prefix_tuning+adapter(placement='parallel')": "He et al. 2022, https://arxiv.org/abs/2110.04366",
}
"""Methods with other settings that have a line, with their paper if it is another one."""


def lines() -> list[str]:
    """List every method, as `parse_method` reads it, each followed by its variants."""

    def variants_of(name: str) -> list[str]:
        return [text for text in VARIANTS if text.startswith((f"{name}(", f"{name}+"))]

    return [text for name in TRAINED_METHODS for text in (name, *variants_of(name))]

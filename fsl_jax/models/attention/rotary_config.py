"""Read and write the rotary embedding in `config.json`, as releases of transformers do."""

import math
from collections.abc import Mapping
from typing import Any

from fsl_jax.models.attention.rotary import LinearScaling, Llama3Scaling, RotaryScaling, YarnScaling
from fsl_jax.models.config_reader import ConfigReader

_KINDS = ("default", "linear", "llama3", "yarn")
# transformers reads the first of these that is not empty.
_GROUPS = ("rope_scaling", "rope_parameters")
_SCALING_FIELDS = (
    "rope_type",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
)
# These may be beside the group too.
_FIELDS = (
    *_SCALING_FIELDS,
    "rope_theta",
    "partial_rotary_factor",
    "original_max_position_embeddings",
)


def rotary_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Move the fields of the rotary embedding to the top level of a config.

    Args:
      values: the content of `config.json`, with these fields in `rope_scaling` or in
        `rope_parameters`.

    Returns:
      The values with `rope_type` added, and `rope_theta`, `factor` and so on if the config has
      them.
    """
    flat = {name: value for name, value in values.items() if name not in _SCALING_FIELDS}
    # A value of another kind is left for `rotary_scaling` to report.
    groups = [group for name in _GROUPS if isinstance(group := values.get(name), dict) and group]
    for group in groups[:1]:
        kind = group.get("rope_type", group.get("type"))
        # The fields are one level deeper if each kind of layer has its own.
        others = (value for name, value in group.items() if name not in (*_FIELDS, "type"))
        nested = any(isinstance(value, Mapping) for value in others)
        fields = {name: value for name, value in group.items() if name in _FIELDS}
        flat |= fields | {"rope_type": "different in some layers" if nested else kind}
    return flat


def rotary_scaling(
    reader: ConfigReader, values: Mapping[str, Any], max_length: int
) -> RotaryScaling | None:
    """Read the scaling of a rotary embedding.

    Args:
      reader: reads `values` and collects problems.
      values: from `rotary_values`.
      max_length: the longest text with the scaling.

    Returns:
      The scaling; None for none.
    """
    for name in _GROUPS:
        reader.object(name)
    reader.expect("rope_type", *_KINDS)
    reader.expect("partial_rotary_factor", 1.0)
    kind = values.get("rope_type")
    if kind not in _KINDS[1:]:
        return None
    if kind == "linear":
        return LinearScaling(reader.number("factor"))
    original = reader.integer("original_max_position_embeddings", max_length)
    if kind == "llama3":
        low, high = reader.number("low_freq_factor"), reader.number("high_freq_factor")
        if low >= high:
            reader.problem("high_freq_factor", high, f"more than {low}, the low_freq_factor")
        return Llama3Scaling(reader.number("factor"), low, high, original)
    if (theta := reader.number("rope_theta", 10_000.0)) <= 1:
        reader.problem("rope_theta", theta, "more than 1, which yarn needs")
    factor = reader.number("factor", max_length / original)
    return YarnScaling(
        factor,
        original,
        amplitude=reader.number("attention_factor", _yarn_amplitude(reader, values, factor)),
        fast_turns=reader.number("beta_fast", 32.0),
        slow_turns=reader.number("beta_slow", 1.0),
        truncate=reader.flag("truncate", True),
    )


def _yarn_amplitude(reader: ConfigReader, values: Mapping[str, Any], factor: float) -> float:
    def grown(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1

    if values.get("mscale") and values.get("mscale_all_dim"):
        return grown(reader.number("mscale")) / grown(reader.number("mscale_all_dim"))
    return grown(1.0)


def rotary_json(theta: float, scaling: RotaryScaling | None) -> dict[str, Any]:
    """Return the fields of a rotary embedding for `config.json`, as all releases read them."""
    if scaling is None:
        return {"rope_theta": theta}
    scaling_fields: dict[str, Any] = {"factor": scaling.factor}
    if isinstance(scaling, LinearScaling):
        scaling_fields["rope_type"] = "linear"
    elif isinstance(scaling, Llama3Scaling):
        scaling_fields |= {
            "rope_type": "llama3",
            "low_freq_factor": scaling.low_frequency,
            "high_freq_factor": scaling.high_frequency,
            "original_max_position_embeddings": scaling.original_length,
        }
    else:
        scaling_fields |= {
            "rope_type": "yarn",
            "original_max_position_embeddings": scaling.original_length,
            "attention_factor": scaling.amplitude,
            "beta_fast": scaling.fast_turns,
            "beta_slow": scaling.slow_turns,
            "truncate": scaling.truncate,
        }
    return {"rope_theta": theta, "rope_scaling": scaling_fields}

"""Self-attention by one of several implementations.

All give the same results up to rounding, and all take packed rows, since a mask of pairs says which
tokens of a row see each other. `FASTEST` names the implementation that was measured as
the fastest on each platform; `benchmarks/attention.py` measures them on your machine.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fsl_jax.compilation import target_platform
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.attention.implementations import (
    AUTO,
    CUDNN,
    IMPLEMENTATIONS,
    WRITTEN_OUT,
    XLA,
)
from fsl_jax.models.attention.softmax_attention import softmax_attention

FASTEST = {"cpu": WRITTEN_OUT}  # By platform; on other platforms `WRITTEN_OUT` is used.


def require_implementation(name: str) -> None:
    """Raise an error unless the name is "auto" or names an implementation."""
    if name not in IMPLEMENTATIONS:
        raise unknown_name("attention implementation", name, IMPLEMENTATIONS)


def self_attention(
    query: Float[Array, "B T H Dh"],
    keys: Float[Array, "B T H_kv Dh"],
    values: Float[Array, "B T H_kv Dh"],
    mask: Bool[Array, "B Q T"],
    *,
    cap: float | None = None,
    implementation: str = AUTO,
) -> Float[Array, "B T H*Dh"]:
    """Compute self-attention with a softmax in float32.

    Args:
      query: `[B, T, H, Dh]`, scaled; each of the `H_kv` key heads serves `H / H_kv` of its heads.
      keys: `[B, T, H_kv, Dh]`.
      values: `[B, T, H_kv, Dh]`.
      mask: `[B, T, T]`, True where a query sees a key, or `[B, 1, T]` for all queries.
      cap: keeps scores between `-cap` and `cap`; None for no limit. With a cap, the implementation
        is always "written_out", the only one that supports it.
      implementation: "written_out" is `softmax_attention`, "xla" and "cudnn" are those of
        `jax.nn.dot_product_attention`, "auto" is the fastest on the target platform.

    Returns:
      `[B, T, H * Dh]`.

    Raises:
      InputError: there is no such implementation, or "cudnn" does not support this input.
    """
    require_implementation(implementation)
    if implementation == AUTO:
        implementation = FASTEST.get(target_platform(), WRITTEN_OUT)
    if implementation == WRITTEN_OUT or cap is not None:
        return _written_out(query, keys, values, mask, cap)
    return _by_jax(query, keys, values, mask, implementation)


def _by_jax(
    query: Float[Array, "B T H Dh"],
    keys: Float[Array, "B T H_kv Dh"],
    values: Float[Array, "B T H_kv Dh"],
    mask: Bool[Array, "B Q T"],
    implementation: str,
) -> Float[Array, "B T H*Dh"]:
    """Compute attention by `jax.nn.dot_product_attention`."""
    if implementation == CUDNN:
        _require_cudnn(query)
        # cuDNN takes a mask of all pairs and does not broadcast it.
        mask = jnp.broadcast_to(mask, (*query.shape[:2], keys.shape[1]))
    # JAX mixes dtypes inside this function.
    with jax.numpy_dtype_promotion("standard"):
        output = jax.nn.dot_product_attention(
            query,
            keys,
            values,
            mask=mask[:, None],
            scale=1.0,
            implementation="cudnn" if implementation == CUDNN else "xla",
        )
    return output.reshape(*query.shape[:2], -1)


def _written_out(
    query: Float[Array, "B T H Dh"],
    keys: Float[Array, "B T H_kv Dh"],
    values: Float[Array, "B T H_kv Dh"],
    mask: Bool[Array, "B Q T"],
    cap: float | None,
) -> Float[Array, "B T H*Dh"]:
    batch, length, heads, head_dim = query.shape
    groups = keys.shape[2]
    grouped = query.reshape(batch, length, groups, -1, head_dim).transpose(0, 2, 3, 1, 4)
    rows = grouped.reshape(batch, groups, -1, head_dim)
    keys, values = (each.transpose(0, 2, 1, 3) for each in (keys, values))
    output = softmax_attention(rows, keys, values, mask, cap).reshape(grouped.shape)
    return output.transpose(0, 3, 1, 2, 4).reshape(batch, length, heads * head_dim)


def _require_cudnn(query: Float[Array, "B T H Dh"]) -> None:
    problems = []
    if jax.__version_info__ < (0, 11, 1):
        problems.append(
            f"jax is {jax.__version__}; expected 0.11.1, since it crashes under vmap before"
        )
    if target_platform() != "gpu":
        problems.append(f"the platform is {target_platform()}; expected an NVIDIA GPU")
    if query.dtype not in (jnp.bfloat16, jnp.float16):
        problems.append(f"activations are {query.dtype}; expected bfloat16 or float16")
    if query.shape[-1] % 8:
        problems.append(f"heads are {query.shape[-1]} wide; expected a multiple of 8")
    if query.shape[1] % 2:
        problems.append(f"there are {query.shape[1]} tokens; expected an even number")
    if problems:
        raise InputError(
            f"cuDNN's attention cannot serve here: {'; '.join(problems)}. Take the attention "
            f'implementation "{XLA}" or "{AUTO}".'
        )

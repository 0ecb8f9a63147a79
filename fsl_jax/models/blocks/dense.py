"""Linear layers with the leaves that adaptations add to them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.models.blocks.functions import add_bias

INITIAL_WEIGHTS = nn.initializers.normal(stddev=0.02)
"""The distribution of new kernels and embeddings."""

_TINY = 1e-20
"""A lower limit of squares before dividing by them or taking their root."""


class Dense(nn.Module):
    """A linear map of the last axis, `x @ kernel + bias`, with the added leaves beside the kernel.

    Added leaves:
      bias `[out]`: added where present, even if the checkpoint has none. lora_a `[in, R]`, lora_b
      `[R, out]`, lora_scale `[]` or `[out]`: the low-rank update
        `(x @ lora_a @ lora_b) * lora_scale` of Hu et al. 2021, https://arxiv.org/abs/2106.09685.
      lora_e `[R]`: factors between lora_a and lora_b. lora_magnitude `[out]`, lora_norm `[out]`:
      the lengths of the adapted kernel's columns, and those of the base kernel's columns (Liu et
      al. 2024, https://arxiv.org/abs/2402.09353). ia3_in `[in]`, ia3 `[out]`: factors of the input
      and of the output, the bias and the low-rank
        update included (Liu et al. 2022, https://arxiv.org/abs/2205.05638).
    """

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "*batch D"]) -> Float[Array, "*batch E"]:
        """Map `[..., in]` to `[..., out]`."""
        # Flatten to a product of 2-D arrays: on a CPU, XLA runs it 1.6 times as fast as with 3-D.
        flat = self._scaled(x.reshape(-1, x.shape[-1]), "ia3_in")
        kernel = self.param("kernel", INITIAL_WEIGHTS, (x.shape[-1], self.features))
        y = flat @ kernel.astype(x.dtype)
        if self._has("lora_a"):
            y += self._low_rank(flat)
        if self._has("lora_magnitude"):
            y *= self._stretch(kernel).astype(x.dtype)[None]
        if self.use_bias or self._has("bias"):
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = add_bias(y, bias.astype(x.dtype))
        return self._scaled(y, "ia3").reshape(*x.shape[:-1], self.features)

    def _has(self, leaf: str) -> bool:
        return self.has_variable("params", leaf)

    def _leaf(self, leaf: str) -> Array:
        return self.get_variable("params", leaf)

    def _scaled(self, flat: Float[Array, "M D"], leaf: str) -> Float[Array, "M D"]:
        return flat * self._leaf(leaf).astype(flat.dtype)[None] if self._has(leaf) else flat

    def _low_rank(self, flat: Float[Array, "M D"]) -> Float[Array, "M E"]:
        names = ("lora_a", "lora_b", "lora_scale")
        down, up, scale = (self._leaf(name).astype(flat.dtype) for name in names)
        inner = self._scaled(flat @ down, "lora_e")
        return (inner @ up) * (scale[None] if scale.ndim else scale)

    def _stretch(self, kernel: Float[Array, "D E"]) -> Float[Array, " E"]:
        """Return the factors that stretch each column of the adapted kernel to its trained length.

        The lengths are computed from small products, since the adapted kernel itself would be a
        copy for each run. No gradient goes through them, as in section 4.3 of the paper.
        """
        names = ("lora_a", "lora_b", "lora_scale", "lora_norm")
        down, up, scale, norm = (jax.lax.stop_gradient(self._leaf(name)) for name in names)
        products = jnp.matmul(
            down.T.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32
        )
        along = (up * products).sum(0)
        square = (up * ((down.T @ down) @ up)).sum(0)
        grown = 1 + (2 * scale * along + scale**2 * square) / jnp.maximum(norm**2, _TINY)
        length = norm * jnp.sqrt(jnp.maximum(grown, _TINY))
        # A layer that is not adapted has a scale of zero; a column of zeros has no direction.
        fixed = (scale == 0) | (norm == 0)
        return jnp.where(fixed, 1.0, self._leaf("lora_magnitude") / jnp.where(fixed, 1.0, length))

"""The layers that every family is built from, with every hook that an adaptation has.

A layer applies an extra leaf where it finds one beside its weight, and does nothing where it does
not. This is the only file where an adaptation touches the computation with a weight.

Weights and activations are in the model's dtype; a leaf in another one (a float32 leaf that is
trained beside a bfloat16 base) is cast when it is read. Norms compute in float32.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt32

from fsl_jax.compilation import target_platform
from fsl_jax.errors import InputError
from fsl_jax.models.attention.attention import LearnedPrefix
from fsl_jax.models.blocks.functions import add_bias, gelu, layer_norm, rms_norm
from fsl_jax.models.outputs import Params

PRNGKey = Key[Array, ""] | UInt32[Array, "2"]

_normal = nn.initializers.normal(stddev=0.02)

_TINY = 1e-20
"""What stands for a square of zero that is divided by."""

BOTTLENECK_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": gelu,
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
}
"""Those that a `Bottleneck` may have; all are zero at zero, so that padding adds nothing."""


class Dense(nn.Module):
    """A linear map of the last axis, `x @ kernel + bias`, with the extra leaves found beside it.

    Extra leaves:
      bias `[out]`: added where present, in a model whose checkpoint has none too.
      lora_a `[in, R]`, lora_b `[R, out]`, lora_scale `[]` or `[out]`: the low-rank update
        `(x @ lora_a @ lora_b) * lora_scale` of Hu et al. 2021, https://arxiv.org/abs/2106.09685.
      lora_e `[R]`: what is multiplied with between lora_a and lora_b.
      lora_magnitude `[out]`, lora_norm `[out]`: the lengths of the adapted kernel's columns, and
        those of the kernel's own (Liu et al. 2024, https://arxiv.org/abs/2402.09353).
      ia3_in `[in]`, ia3 `[out]`: what the input and the output are multiplied by, the bias and the
        low-rank update included (Liu et al. 2022, https://arxiv.org/abs/2205.05638).
    """

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "*batch D"]) -> Float[Array, "*batch E"]:
        """Maps `[..., in]` to `[..., out]`."""
        # One matrix product of two dimensions: on a CPU XLA runs it 1.6 times as fast as three.
        flat = self._scaled(x.reshape(-1, x.shape[-1]), "ia3_in")
        kernel = self.param("kernel", _normal, (x.shape[-1], self.features))
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
        """What each column of the adapted kernel is multiplied by, to have its own length.

        The lengths come from small products: the adapted kernel would be a copy for each run. They
        pass no gradient on, as in the paper's section 4.3.
        """
        names = ("lora_a", "lora_b", "lora_scale", "lora_norm")
        down, up, scale, norm = (jax.lax.stop_gradient(self._leaf(name)) for name in names)
        products = jnp.matmul(
            down.T.astype(kernel.dtype), kernel, preferred_element_type=jnp.float32
        )
        shared = (up * products).sum(0)
        own = (up * ((down.T @ down) @ up)).sum(0)
        grown = 1 + (2 * scale * shared + scale**2 * own) / jnp.maximum(norm**2, _TINY)
        length = norm * jnp.sqrt(jnp.maximum(grown, _TINY))
        # A layer that is not adapted has a scale of zero; a column of zeros has no direction.
        fixed = (scale == 0) | (norm == 0)
        return jnp.where(fixed, 1.0, self._leaf("lora_magnitude") / jnp.where(fixed, 1.0, length))


class Bottleneck(nn.Module):
    """Adds what small multilayer perceptrons with a bottleneck make of activations, where present.

    Extra leaves, in a group whose name says what they read and with which activation, such as
    `sequential_relu` or `parallel_gelu` (https://arxiv.org/abs/1902.00751 and 2110.04366):
      down `[D, R]`, down_bias `[R]`, up `[R, D]`, up_bias `[D]`, scale `[]`: the update
        `(activation(z @ down + down_bias) @ up + up_bias) * scale`.
    """

    @nn.compact
    def __call__(self, y: Float[Array, "B T D"], x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The output `y` of a part of a layer, which read `x`, with all updates."""
        updated = y
        for order, read in (("sequential", y), ("parallel", x)):
            for name, activation in BOTTLENECK_ACTIVATIONS.items():
                if self.has_variable("params", f"{order}_{name}"):
                    leaves: Params = self.get_variable("params", f"{order}_{name}")
                    updated += self._update(leaves, activation, read)
        return updated

    def _update(
        self, leaves: Params, activation: Callable[[Array], Array], z: Float[Array, "B T D"]
    ) -> Float[Array, "B T D"]:
        cast = {name: leaf.astype(z.dtype) for name, leaf in leaves.items()}
        inner = z.reshape(-1, z.shape[-1]) @ cast["down"] + cast["down_bias"][None]
        y = activation(inner) @ cast["up"] + cast["up_bias"][None]
        return (y * cast["scale"]).reshape(z.shape)


def learned_prefix(
    attention: nn.Module,
    own: Float[Array, "B T H_kv Dh"],
    seen_from: Int[Array, "B T"] | None = None,
) -> LearnedPrefix | None:
    """The prefix of a layer, to be attended to beside its own keys, if it has one.

    Where `seen_from` is given, a token sees the vectors of the prefix from that one on.

    Extra leaves of the attention: prefix_key `[P, H_kv * Dh]`, prefix_value `[P, H_kv * Dh]` and
    prefix_mask `[P]`, which is 0 for vectors that only fill up (Li and Liang 2021,
    https://arxiv.org/abs/2101.00190).
    """
    if not attention.has_variable("params", "prefix_key"):
        return None

    def leaf(name: str) -> Array:
        return attention.get_variable("params", f"prefix_{name}")

    keys, values = (
        leaf(name).astype(own.dtype).reshape(-1, *own.shape[2:]) for name in ("key", "value")
    )
    mask = leaf("mask")[None, None] > 0
    if seen_from is not None:
        mask &= jnp.arange(mask.shape[2], dtype=jnp.int32)[None, None] >= seen_from[:, :, None]
    return LearnedPrefix(keys, values, mask)


class Embedding(nn.Module):
    """A table of vectors, looked up by number.

    Extra leaves:
      prompt `[P, D]`: vectors that come before those of all rows (Lester et al. 2021,
        https://arxiv.org/abs/2104.08691).
      suffix `[P, D]`: vectors of the numbers after the table's, as `after_tokens` has them.
    """

    size: int
    features: int
    dtype: jnp.dtype

    def setup(self):
        """Names the parts."""
        self.embedding = self.param("embedding", _normal, (self.size, self.features))

    def __call__(self, ids: Int[Array, "B T"], length: int | None = None) -> Float[Array, "B S D"]:
        """Looks up vectors.

        Args:
          ids: their numbers.
          length: S, where it is not T: that many more vectors of `prompt` come before them.

        Returns:
          `[B, S, D]` in the model's dtype.
        """
        x = self._vectors(ids).astype(self.dtype)
        if length is None or length == ids.shape[1]:
            return x
        leaf: Array = self.get_variable("params", "prompt")
        prompt = leaf.astype(self.dtype)
        return jnp.concatenate([jnp.broadcast_to(prompt[None], (len(x), *prompt.shape)), x], axis=1)

    def _vectors(self, ids: Int[Array, "B T"]) -> Float[Array, "B T D"]:
        if not self.has_variable("params", "suffix"):
            return self.embedding[ids]
        suffix: Array = self.get_variable("params", "suffix")
        beyond = ids - self.size
        added = suffix.astype(self.embedding.dtype)[jnp.maximum(beyond, 0)]
        own = self.embedding[jnp.minimum(ids, self.size - 1)]
        return jnp.where((beyond >= 0)[..., None], added, own)

    def attend(
        self, hidden: Float[Array, "*batch D"], rows: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch V"]:
        """Multiplies with the vectors of the table.

        Args:
          hidden: what they are multiplied with.
          rows: the numbers of those that are wanted; all unless given.

        Returns:
          float32 products with V vectors.
        """
        table = self.embedding if rows is None else self.embedding[rows]
        table = table.astype(hidden.dtype)
        flat = hidden.reshape(-1, hidden.shape[-1])
        # On a CPU XLA takes nine times as long for two vectors when they come first, and twice as
        # long for 256: the barrier keeps it from putting them there.
        swapped = target_platform() == "cpu"
        first, second = (table, flat) if swapped else (flat, table)
        axes = (((1,), (1,)), ((), ()))
        y = jax.lax.dot_general(first, second, axes, preferred_element_type=jnp.float32)
        y = jax.lax.optimization_barrier(y).T if swapped else y
        return y.reshape(*hidden.shape[:-1], table.shape[0])


class Unembedding(nn.Module):
    """The output embedding of a model that does not tie it to the input embedding."""

    size: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "*batch D"], rows: Int[Array, " n"] | None = None):
        """The float32 logits `[..., V]`, or `[..., n]` of those tokens alone."""
        kernel = self.param("kernel", _normal, (hidden.shape[-1], self.size))
        if rows is not None:
            kernel = kernel[:, rows]
        flat = hidden.reshape(-1, hidden.shape[-1])
        y = jnp.dot(flat, kernel.astype(hidden.dtype), preferred_element_type=jnp.float32)
        return y.reshape(*hidden.shape[:-1], kernel.shape[1])


class LayerNorm(nn.Module):
    """Layer normalisation over the last axis, in float32 (https://arxiv.org/abs/1607.06450)."""

    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Normalises each vector of `[B, T, D]`."""
        width = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, width).astype(jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, width).astype(jnp.float32)
        return layer_norm(x, scale, bias, self.epsilon)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation, in float32 (https://arxiv.org/abs/1910.07467).

    Attributes:
      epsilon: added to the mean square.
      offset: added to the leaf `scale` before it is multiplied with.
    """

    epsilon: float
    offset: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Normalises each vector of `[B, T, D]`."""
        initial = nn.initializers.constant(1 - self.offset)
        scale = self.param("scale", initial, x.shape[-1:]).astype(jnp.float32)
        if self.offset:
            scale += self.offset
        return rms_norm(x, scale, self.epsilon)


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Inverted dropout at a static rate; a rate of 0 draws nothing and costs nothing.

    Every place draws from a key of its own, folded from the layer's number and the place's, so
    that a stack gives the same numbers in one section or two. Attention weights are not dropped:
    drawing a mask for each of them costs more than the attention itself on a CPU.

    Attributes:
      rate: probability that an activation is set to zero, in [0, 1).
      key: threefry key; None only where the rate is 0.
    """

    rate: float = 0.0
    key: PRNGKey | None = None

    def __post_init__(self):
        if not 0 <= self.rate < 1:
            raise InputError(f"the dropout rate is {self.rate}; it must be in [0, 1).")
        if self.rate and self.key is None:
            raise InputError(
                f"a dropout rate of {self.rate} needs a key: give key=jax.random.key(seed)."
            )

    def within(self, number: int | UInt32[Array, ""]) -> "Dropout":
        """The dropout of one layer, or of another part that has a number."""
        if self.key is None or not self.rate:
            return self
        return Dropout(self.rate, jax.random.fold_in(self.key, number))

    def __call__(self, x: Float[Array, "*batch D"], place: int) -> Float[Array, "*batch D"]:
        """Drops from `x` at a place of the layer, known by its number."""
        if self.key is None or not self.rate:
            return x
        # Half a random word decides about one activation: threefry is the cost of dropout.
        threshold = round(self.rate * 2**16)
        key = jax.random.fold_in(self.key, place)
        words = jax.random.bits(key, (*x.shape[:-1], -(-x.shape[-1] // 2)), jnp.uint32)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(*x.shape[:-1], -1)
        kept = halves[..., : x.shape[-1]] >= jnp.uint16(threshold)
        scale = jnp.asarray(1 / (1 - threshold / 2**16), x.dtype)
        return jnp.where(kept, x * scale, jnp.zeros_like(x))


NO_DROPOUT = Dropout()

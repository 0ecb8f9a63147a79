"""LoRA: a low-rank update beside a frozen weight, and its variants.

Hu et al., 2022, "LoRA: Low-Rank Adaptation of Large Language Models",
https://arxiv.org/abs/2106.09685. Its variants: rank-stabilised scales (Kalajdzievski, 2023,
https://arxiv.org/abs/2312.03732), DoRA (Liu et al., 2024, https://arxiv.org/abs/2402.09353), LoRA+
(Hayou et al., 2024, https://arxiv.org/abs/2402.12354) and PiSSA (see `pissa`).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.adapt.methods.low_rank import low_rank_targets
from fsl_jax.adapt.methods.method import ONLY_TRAINS, SIZE, Method
from fsl_jax.adapt.parts.layer_choice import chosen_layers, require_layers
from fsl_jax.adapt.parts.patterns import find, require_pattern
from fsl_jax.adapt.parts.pissa import principal_part
from fsl_jax.adapt.tree import Params, flatten, key_of, unflatten
from fsl_jax.errors import InputError, unknown_name
from fsl_jax.models.blocks.intermediate_leaves import IntermediateLeaf
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.ranges import in_range, real

SCALINGS = ("standard", "rslora", "given")
STARTS = ("zero", "pissa")


@dataclasses.dataclass(frozen=True)
class LoRA(Method):
    """Adds `x @ lora_a @ lora_b * scale` to the output of each target.

    `lora_a` is drawn uniformly and `lora_b` starts at zero, so the model starts out as the base
    model. Both are float32, whatever the dtype of the base. Runs of different ranks share a
    program: the leaves of each run are drawn at its own rank and padded with zeros, which stay
    zero. In layers that are not chosen, the scale and the leaves are zero and stay zero.

    Attributes:
      rank: R, the rank of the update.
      alpha: the numerator of the scale.
      targets: a regular expression for the layers to adapt, searched for in the path of a kernel's
        parent: `layers/attention/query`.
      layers: which layers of a stack are adapted: 'all', 'first 4', 'last 4', or numbers from 0
        such as '0,2,5-7'.
      scaling: 'standard' for a scale of alpha / rank, 'rslora' for alpha / sqrt(rank), which lets
        large ranks learn as fast as small ones. 'given' is for a loaded adapter in which each layer
        has its own scale. Such an adapter is saved with a scale of alpha / rank, and `lora_b` makes
        up for the difference.
      start: 'zero' or 'pissa'. With 'pissa' the update starts out as the principal part of the
        weight, and this start is subtracted. Such an update learns faster and needs lower learning
        rates. The frozen weight is never changed, so a PiSSA adapter is saved as a LoRA of twice
        the rank with a start of zero. PEFT converts its PiSSA adapters in the same way.
      dora: whether the lengths of the adapted weight's columns are trained too. As in section 4.3
        of the paper, no gradient goes through the lengths that they replace.
      learning_rate_ratio: the learning rate of `lora_b` over that of `lora_a` (LoRA+). The paper
        uses 16.
    """

    rank: int = in_range(8, SIZE)
    alpha: float = in_range(16.0, real(above=0))
    targets: str = "attention/(query|value)$"
    layers: str = "all"
    scaling: str = "standard"
    start: str = "zero"
    dora: bool = False
    learning_rate_ratio: float = in_range(1.0, real(above=0), **ONLY_TRAINS)
    name: ClassVar[str] = "lora"
    paper: ClassVar[str] = "Hu et al. 2022, https://arxiv.org/abs/2106.09685"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-4, 5e-4, 2e-3)
    rules: ClassVar[tuple[str, ...]] = ("/lora_(a|b|magnitude)$",)
    frozen_rules: ClassVar[tuple[str, ...]] = ("/lora_(scale|norm|a_start|b_start)$",)
    intermediate_leaves: ClassVar[tuple[IntermediateLeaf, ...]] = (
        IntermediateLeaf("/lora_[ab]_start$", neutral=0.0),
    )

    def __post_init__(self):
        super().__post_init__()
        require_pattern("lora's targets", self.targets)
        require_layers("lora's layers", self.layers)
        if self.scaling not in SCALINGS:
            raise unknown_name("scaling of lora", self.scaling, SCALINGS)
        if self.start not in STARTS:
            raise unknown_name("start of lora", self.start, STARTS)

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        # Weights outside the stack of layers are adapted only if all layers are.
        return (self.targets, self.start, self.dora, self.layers == "all")

    @property
    def learning_rate_factors(self) -> Mapping[str, float]:
        """The factor of LoRA+, for `lora_b`."""
        if self.learning_rate_ratio == 1:
            return {}
        return {"/lora_b$": self.learning_rate_ratio}

    def unused_parameters(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Count the leaves of the layers that are not chosen."""
        if self.layers == "all":
            return 0
        sizes = [
            shape
            for path, shape in shapes.items()
            if find(self.rules[0], path) and self._adapts(path)
        ]
        return sum(int((~self._chosen(depth)).sum()) * math.prod(one) for depth, *one in sizes)

    @property
    def scale(self) -> float:
        """The factor of the update."""
        return self.alpha / (math.sqrt(self.rank) if self.scaling == "rslora" else self.rank)

    @property
    def scales(self) -> Mapping[str, float]:
        """The scale of the update."""
        return {"/lora_scale$": self.scale}

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add leaves to each target, beside its kernel `[L, in, out]`.

        Trained leaves: `lora_a [L, in, R]`, `lora_b [L, R, out]`, and for DoRA `lora_magnitude [L,
        out]`. Frozen leaves: `lora_scale [L]`, for DoRA the lengths of the kernel's columns
        `lora_norm [L, out]`, and for PiSSA `lora_a_start` and `lora_b_start`.
        """
        leaves = flatten(params)
        if self.layers != "all" and any("top_layers/" in path for path in leaves):
            raise InputError(
                f"lora(layers={self.layers!r}) counts the layers of a whole stack, and top_layers "
                "cuts it in two. Name the part that is meant: lora(targets='^top_layers/.*query$')"
            )
        for parent in low_rank_targets("lora", self.targets, leaves):
            kernel = leaves[f"{parent}/kernel"]
            if self.layers == "all" or kernel.ndim > 2:
                leaves |= self._leaves(parent, kernel, key)
        return unflatten(leaves)

    def reparametrize(self, params: Params) -> Params:
        """Join the update and its subtracted start into one update of rank 2R."""
        leaves = flatten(params)
        starts = [path for path in leaves if path.endswith("/lora_a_start") and self._adapts(path)]
        for path in starts:
            parent = path.removesuffix("/lora_a_start")
            start_a, start_b = (leaves.pop(f"{parent}/lora_{part}_start") for part in "ab")
            joined_a = jnp.concatenate([leaves[f"{parent}/lora_a"], start_a], -1)
            joined_b = jnp.concatenate([leaves[f"{parent}/lora_b"], -start_b], -2)
            leaves |= {f"{parent}/lora_a": joined_a, f"{parent}/lora_b": joined_b}
        return unflatten(leaves) if starts else params

    def resolve(self, pretrained: Pretrained, words: Sequence[str]) -> Method:
        """Return the method, or raise an error if its scales must come with a loaded adapter."""
        if self.scaling == "given":
            raise InputError(
                "lora's scaling 'given' is that of loaded adapters: choose 'standard' or 'rslora'"
            )
        return self

    def to_save(self, leaves: Params, base: Params) -> tuple[Method, Params]:
        """Return a LoRA with one scale; a PiSSA adapter becomes one of twice the rank."""
        if self.scaling == "given":
            return self._with_one_scale(leaves)
        if self.start == "zero":
            return self, leaves
        extended = flatten(self.extend(base, jax.random.key(0)))
        starts = {path: leaf for path, leaf in extended.items() if path.endswith("_start")}
        plain = dataclasses.replace(
            self,
            rank=2 * self.rank,
            alpha=self.alpha * (math.sqrt(2) if self.scaling == "rslora" else 2),
            start="zero",
        )
        return plain, self.reparametrize(unflatten(starts | flatten(leaves)))

    def _with_one_scale(self, leaves: Params) -> tuple[Method, Params]:
        """Move all scales into `lora_b`; some readers of PEFT files ignore `alpha_pattern`."""
        plain, flat = dataclasses.replace(self, scaling="standard"), flatten(leaves)
        for path in [path for path in flat if path.endswith("/lora_b")]:
            parent = path.removesuffix("/lora_b")
            if find(self.targets, parent):
                if f"{parent}/lora_scale" not in flat:
                    raise InputError("lora's scales came with an adapter: save lora_scale too")
                ratio = flat.pop(f"{parent}/lora_scale") / plain.scale
                flat[path] = flat[path] * ratio[..., None, None]
        return plain, unflatten(flat)

    def _leaves(self, parent: str, kernel: jax.Array, key: jax.Array) -> Params:
        stack = kernel.shape[:-2]
        lora_a, lora_b = self._start(f"{parent}/lora_a", kernel, key)
        added = {
            "lora_a": lora_a,
            "lora_b": lora_b,
            "lora_scale": jnp.full(stack, self.scale, jnp.float32),
        }
        if self.start == "pissa":
            added |= {"lora_a_start": lora_a, "lora_b_start": lora_b}
        if self.dora:
            norm = jnp.linalg.norm(kernel.astype(jnp.float32), axis=-2)
            added |= {"lora_magnitude": norm, "lora_norm": norm}
        if self.layers != "all":
            chosen = jnp.asarray(self._chosen(stack[0]))
            added = {
                name: jnp.where(chosen.reshape(-1, *[1] * (leaf.ndim - 1)), leaf, 0.0)
                for name, leaf in added.items()
            }
        return {f"{parent}/{name}": leaf for name, leaf in added.items()}

    def _adapts(self, path: str) -> bool:
        """Tell whether a leaf is beside the kernel of a target."""
        return find(self.targets, path.rpartition("/")[0]) is not None

    def _chosen(self, depth: int) -> np.ndarray:
        return chosen_layers("lora's layers", self.layers, depth)

    def _start(self, path: str, kernel: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return the initial `lora_a` and `lora_b`."""
        *stack, width_in, width_out = kernel.shape
        if self.start == "pissa":
            if self.rank > min(width_in, width_out):
                raise InputError(
                    f"lora's start 'pissa' needs a rank of at most {min(width_in, width_out)} for "
                    f"{path}, found {self.rank}"
                )
            root = math.sqrt(self.scale)
            lora_a, lora_b = principal_part(kernel, self.rank)
            return lora_a / root, lora_b / root
        bound = 1 / math.sqrt(width_in)
        shape = (*stack, width_in, self.rank)
        lora_a = jax.random.uniform(key_of(key, path), shape, jnp.float32, -bound, bound)
        return lora_a, jnp.zeros((*stack, self.rank, width_out), jnp.float32)

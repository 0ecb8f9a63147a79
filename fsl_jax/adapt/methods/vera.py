"""VeRA: random matrices that all layers share, and trained vectors for each layer.

Kopiczko et al., 2024, "VeRA: Vector-based Random Matrix Adaptation",
https://arxiv.org/abs/2310.11454.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.low_rank import low_rank_targets
from fsl_jax.adapt.methods.method import ONLY_TRAINS, SIZE, Method
from fsl_jax.adapt.parts.patterns import require_pattern
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.errors import InputError, problems_error
from fsl_jax.models.blocks.intermediate_leaves import IntermediateLeaf
from fsl_jax.ranges import SEED, in_range, real
from fsl_jax.seeds import seed_key


@dataclasses.dataclass(frozen=True)
class VeRA(Method):
    """Adds `((x @ a) * vera_d) @ b * vera_b` to the output of each target.

    `a` and `b` are slices of two frozen random matrices, which are as large as the widest targets
    need. `vera_b` starts at zero, so the model starts out as the base model. All leaves are
    float32. Runs of different ranks share a program: smaller leaves are padded with zeros.

    Attributes:
      rank: R, the number of random directions.
      targets: a regular expression for the layers to adapt, searched for in the path of a kernel's
        parent: `layers/attention/query`.
      initial: the first value of `vera_d`.
      projection_key: the seed of the random matrices, independent of the run's seed; -1 for
        matrices that came with a loaded adapter.
      columns: for targets whose slice of `b` does not start at column 0, the first column, as in
        'layers/attention/key:768,layers/attention/value:1536'. PEFT adapters on GPT-2 need this,
        since queries, keys and values are one layer there.
    """

    rank: int = in_range(256, SIZE)
    targets: str = "attention/(query|value)$"
    initial: float = in_range(0.1, real(), **ONLY_TRAINS)
    projection_key: int = in_range(0, dataclasses.replace(SEED, minimum=-(2**31)))
    columns: str = ""
    name: ClassVar[str] = "vera"
    paper: ClassVar[str] = "Kopiczko et al. 2024, https://arxiv.org/abs/2310.11454"
    learning_rates: ClassVar[tuple[float, ...]] = (4e-3, 1e-2, 3e-2)
    rules: ClassVar[tuple[str, ...]] = ("/vera_[db]$",)
    frozen_rules: ClassVar[tuple[str, ...]] = ("^vera/[ab]$",)
    saved_rules: ClassVar[tuple[str, ...]] = frozen_rules
    # The matrices stay in the tree, since a loaded adapter may be saved again.
    intermediate_leaves: ClassVar[tuple[IntermediateLeaf, ...]] = (
        IntermediateLeaf("/vera_[db]$", neutral=0.0, made="lora_a"),
        IntermediateLeaf("^vera/[ab]$", neutral=0.0, made="lora_a"),
    )

    def __post_init__(self):
        super().__post_init__()
        require_pattern("vera's targets", self.targets)
        if not re.fullmatch(r"([^:,]+:\d{1,9}(,(?!$)|$))*", self.columns):
            raise InputError(
                f"vera's columns {self.columns!r} cannot be read: expected paths with numbers, as "
                "in 'layers/attention/key:768,layers/attention/value:1536'"
            )

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.targets, self.columns)

    def first_column(self, path: str) -> int:
        """Return the first column in `b` of a target."""
        return self._first_columns().get(path, 0)

    def _first_columns(self) -> dict[str, int]:
        entries = (entry.rpartition(":") for entry in self.columns.split(",") if entry)
        return {path: int(number) for path, _, number in entries}

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `vera_d [L, R]` and `vera_b [L, out]` to each target, and two frozen matrices.

        All targets share these, `vera/a [in, R]` and `vera/b [R, out]`. They are as wide as the
        largest `in` and `out`.
        """
        leaves = flatten(params)
        targets, widths = low_rank_targets("vera", self.targets, leaves), []
        if idle := self._first_columns().keys() - set(targets):
            raise problems_error(
                "vera's columns are of what is not among its targets:", sorted(idle)
            )
        for parent in targets:
            *stack, width_in, width_out = leaves[f"{parent}/kernel"].shape
            widths.append((width_in, self.first_column(parent) + width_out))
            leaves[f"{parent}/vera_d"] = jnp.full((*stack, self.rank), self.initial, jnp.float32)
            leaves[f"{parent}/vera_b"] = jnp.zeros((*stack, width_out), jnp.float32)
        return unflatten(leaves | self._projections(*map(max, zip(*widths, strict=True))))

    def reparametrize(self, params: Params) -> Params:
        """Add its slices of the random matrices to each target, once for all layers of a stack."""
        leaves = flatten(params)
        for path in [path for path in leaves if path.endswith("/vera_d")]:
            parent = path.removesuffix("/vera_d")
            width_in, width_out = leaves[f"{parent}/kernel"].shape[-2:]
            first = self.first_column(parent)
            a, b = leaves["vera/a"][:width_in], leaves["vera/b"][:, first : first + width_out]
            stacked = leaves[path].ndim > 1
            leaves |= {
                f"{parent}/lora_a": a[None] if stacked else a,
                f"{parent}/lora_e": leaves[path],
                f"{parent}/lora_b": b[None] if stacked else b,
                f"{parent}/lora_scale": leaves[f"{parent}/vera_b"],
            }
        return unflatten(leaves)

    def to_save(self, leaves: Params, base: Params) -> tuple[Method, Params]:
        """Return the leaves with the random matrices, which are drawn again if they are missing."""
        if self.projection_key < 0 and "vera" not in leaves:
            raise InputError("vera's random matrices came with an adapter: save vera/a and b too")
        drawn = flatten(jax.eval_shape(self.extend, base, jax.random.key(0)))
        width_in, width_out = drawn["vera/a"].shape[0], drawn["vera/b"].shape[1]
        return self, unflatten(self._projections(width_in, width_out) | flatten(leaves))

    def _projections(self, width_in: int, width_out: int) -> Params:
        """Draw the matrices uniformly, with Kaiming bounds for `[R, in]` and `[out, R]`."""
        key_a, key_b = jax.random.split(_key(self.projection_key))

        def draw(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
            bound = math.sqrt(6 / shape[0])
            return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

        return {
            "vera/a": draw(key_a, (width_in, self.rank)),
            "vera/b": draw(key_b, (self.rank, width_out)),
        }


def format_columns(columns: Mapping[str, int]) -> str:
    """Format the setting `columns` from the first columns of targets, by path."""
    return ",".join(f"{path}:{first}" for path, first in sorted(columns.items()) if first)


def _key(seed: int) -> jax.Array:
    # Adapters may have negative seeds, beside -1 for matrices that are not drawn.
    return seed_key(seed) if seed >= 0 else jax.random.key(seed, impl="threefry2x32")

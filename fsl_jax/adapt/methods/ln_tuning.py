"""LN tuning: only the normalisations are trained.

Zhao et al., 2024, "Tuning LayerNorm in Attention: Towards Efficient Multi-Modal LLM Finetuning",
https://arxiv.org/abs/2312.11420.
"""

import dataclasses
from typing import Any, ClassVar

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.parts.patterns import require_pattern


@dataclasses.dataclass(frozen=True)
class LNTuning(Method):
    """Trains the leaves `scale` and, where there is one, `bias` of normalisations.

    It adds no leaves: it trains the base model's leaves `[L, D]`, so it starts out as the base
    model.

    Attributes:
      targets: a regular expression for the ends of the norms' paths. `attention/norm` matches the
        norms of attention in all layers.
    """

    targets: str = "[^/]*norm"
    name: ClassVar[str] = "ln_tuning"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-4, 1e-3, 5e-3)
    paper: ClassVar[str] = "Zhao et al. 2024, https://arxiv.org/abs/2312.11420"

    def __post_init__(self):
        require_pattern("ln_tuning's targets", self.targets)

    @property
    def rules(self) -> tuple[str, ...]:  # type: ignore[override]
        """The rule for the leaves of the targeted norms."""
        return (rf"(^|/)(?:{self.targets})(?<=norm)/(scale|bias)$",)

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.targets,)

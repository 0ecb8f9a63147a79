"""The formulation `classifier`: the model's own head, which a checkpoint or an adapter brought."""

import dataclasses
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.models.blocks.head_kinds import SEQUENCE_CLASSIFICATION
from fsl_jax.models.blocks.prompt_positions import prompt_length
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.batch import Batch


@dataclasses.dataclass(frozen=True, eq=False)
class ClassifierFormulation(HeadFormulation):
    """Classifies with the head of a model that was loaded to classify texts.

    Attributes:
      pretrained: the model, with the head `sequence_classification`.
      labels: the C classes, in the order of the head's.
      pooling: not used, since the head pools.
      max_length: as in `HeadFormulation`.
      reserved_positions: as in `HeadFormulation`.
    """

    pooling: str = dataclasses.field(default="", init=False)
    name: ClassVar[str] = "classifier"

    def __post_init__(self):
        super().__post_init__()
        if self.pretrained.head != SEQUENCE_CLASSIFICATION:
            raise InputError(
                f"{self.pretrained.name} was loaded with the head {self.pretrained.head}, and the "
                f"formulation classifier needs {SEQUENCE_CLASSIFICATION}"
            )

    @classmethod
    def of(cls, pretrained: Pretrained) -> "ClassifierFormulation":
        """Return the formulation of a model, with the names of its classes."""
        return cls(pretrained, pretrained.labels)

    def prepare(self, params: Params, key: jax.Array) -> Params:
        """Return the parameters, which have the head already."""
        return params

    def outputs(
        self, params: Params, batch: Batch, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> Float[Array, "B C"]:
        """Compute the class logits of a batch; see `HeadFormulation.outputs`."""
        options: dict[str, Any] = {"dropout": dropout, "key": key}
        return self.pretrained.classify(
            params,
            self.hidden(params, batch, options),
            batch.members(before=prompt_length(params)),
            batch.input_ids,
            **options,
        )

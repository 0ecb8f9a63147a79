"""Top layers: the last layers are fine-tuned and the trunk below them stays frozen."""

import dataclasses
from typing import Any, ClassVar

import jax

from fsl_jax.adapt.methods.method import SIZE, Method
from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError
from fsl_jax.models.blocks.sections import cut_sections
from fsl_jax.models.blocks.stack import depth
from fsl_jax.ranges import in_range


@dataclasses.dataclass(frozen=True)
class TopLayers(Method):
    """Trains the last `k` layers and the final norm above them.

    The stack of layers is cut into two sections, each with its own scan. Joining the trained layers
    to the frozen stack would copy the stack for each run. In an encoder-decoder it is the decoder's
    stack.

    Attributes:
      k: the number of layers that are trained.
    """

    k: int = in_range(2, SIZE)
    name: ClassVar[str] = "top_layers"
    paper: ClassVar[str] = "Lee et al. 2019, https://arxiv.org/abs/1911.03090"
    learning_rates: ClassVar[tuple[float, ...]] = (5e-5, 1e-4, 3e-4)
    rules: ClassVar[tuple[str, ...]] = ("^(decoder/)?(top_layers|final_norm)/",)

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.k,)

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Cut `layers` into `layers` and `top_layers`."""
        if "layers" in params:
            return self._cut(params)
        if "decoder" in params:
            return params | {"decoder": self._cut(params["decoder"])}
        raise InputError(
            "top_layers trains the last layers of an encoder-decoder's decoder, and this model was "
            "loaded with a head, without its decoder: load it without a head, or choose another "
            "method, such as lora"
        )

    def _cut(self, params: Params) -> Params:
        layers = depth(params["layers"])
        if self.k > layers:
            raise InputError(
                f"top_layers(k={self.k}) on a model of {layers} layers: choose a smaller k"
            )
        return cut_sections(params, layers - self.k)

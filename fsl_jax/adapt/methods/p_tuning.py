"""P-tuning: a soft prompt that is computed by a network.

Liu et al., 2021, "GPT Understands, Too", https://arxiv.org/abs/2103.10385.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fsl_jax.adapt.methods.method import ONLY_TRAINS, SIZE, Method
from fsl_jax.adapt.parts.prompt_encoder import draw_lstm, draw_mlp, lstm, mlp
from fsl_jax.adapt.parts.soft_prompt import PROMPT_FROZEN, with_word_leaves, word_table
from fsl_jax.adapt.tree import Params, key_of
from fsl_jax.errors import unknown_name
from fsl_jax.models.blocks.added_leaves import PROMPT_REASON
from fsl_jax.models.blocks.intermediate_leaves import IntermediateLeaf
from fsl_jax.ranges import in_range, whole

ENCODER = "prompt_encoder"
ENCODERS = ("lstm", "mlp")


@dataclasses.dataclass(frozen=True)
class PTuning(Method):
    """Trains P vectors and a network that turns them into a soft prompt, and keeps the prompt.

    The vectors are `prompt_encoder/embedding [P, D]`, beside the leaves of the network. After
    training both are dropped, and `embeddings/word/prompt [P, D]` is kept. Prompts of different
    lengths, computed by networks of different widths, share a program. All vectors come before the
    tokens, as in PEFT; the paper puts some of them between the parts of a template. The prompt
    takes P of the model's positions, so the longest text is P tokens shorter.

    The paper trains the model as well, with learning rates around 1e-5. With a frozen model, PEFT's
    guide uses 1e-3, the middle one of the default learning rates.

    Attributes:
      length: P, the number of vectors.
      encoder: "lstm" for bidirectional LSTMs and two linear layers, or "mlp" for three linear
        layers.
      hidden: the width of the network, in each direction.
      depth: the number of stacked LSTM layers.
    """

    length: int = in_range(20, SIZE)
    encoder: str = dataclasses.field(default="lstm", metadata=ONLY_TRAINS)
    hidden: int = in_range(128, SIZE, **ONLY_TRAINS)
    depth: int = in_range(2, whole(1, 1024), **ONLY_TRAINS)
    name: ClassVar[str] = "p_tuning"
    paper: ClassVar[str] = "Liu et al. 2021, https://arxiv.org/abs/2103.10385"
    learning_rates: ClassVar[tuple[float, ...]] = (1e-4, 1e-3, 1e-2)
    rules: ClassVar[tuple[str, ...]] = (f"^{ENCODER}/",)
    frozen_rules: ClassVar[tuple[str, ...]] = (PROMPT_FROZEN,)
    intermediate_leaves: ClassVar[tuple[IntermediateLeaf, ...]] = (
        IntermediateLeaf(f"^{ENCODER}/", neutral=0.0, reason=PROMPT_REASON),
    )

    def __post_init__(self):
        super().__post_init__()
        if self.encoder not in ENCODERS:
            raise unknown_name("encoder of p_tuning", self.encoder, ENCODERS)

    @property
    def structure(self) -> tuple[Any, ...]:
        """The settings that stacked runs share."""
        return (self.encoder, self.depth if self.encoder == "lstm" else 0)

    @property
    def positions(self) -> int:
        """The number of the model's positions that the prompt takes."""
        return self.length

    def extend(self, params: Params, key: jax.Array) -> Params:
        """Add `prompt_encoder`, and add `prompt_mask [P]` of ones to the word embedding."""
        width = word_table(params, self.name).shape[1]
        path = f"{ENCODER}/embedding"
        drawn = jax.random.normal(key_of(key, path), (self.length, width), jnp.float32)
        if self.encoder == "lstm":
            network = draw_lstm(key, ENCODER, width, self.hidden, self.depth)
        else:
            network = draw_mlp(key, ENCODER, width, self.hidden)
        mask = jnp.ones(self.length, jnp.float32)
        extended = with_word_leaves(params, {"prompt_mask": mask})
        return extended | {ENCODER: network | {"embedding": drawn}}

    def reparametrize(self, params: Params) -> Params:
        """Replace the network with the prompt that it computes."""
        if ENCODER not in params:
            return params
        rest = {name: each for name, each in params.items() if name != ENCODER}
        encoder = params[ENCODER]
        vectors = encoder["embedding"]
        word = rest.get("embeddings", {}).get("word", {})
        mask = word.get("prompt_mask", jnp.ones(len(vectors), jnp.float32))
        network = lstm if self.encoder == "lstm" else mlp
        return with_word_leaves(rest, {"prompt": network(encoder, vectors, mask)})

    def finish(self, leaves: Params) -> Params:
        """Return the prompt without the network."""
        return self.reparametrize(leaves)

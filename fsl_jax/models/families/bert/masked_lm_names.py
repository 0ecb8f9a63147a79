"""The names of the tensors of the head for masked language modelling, which families share."""

import dataclasses
import re
from collections.abc import Collection

from fsl_jax.models.config_reader import ConfigReader
from fsl_jax.models.tensors.module_rules import dense_rules, norm_rules
from fsl_jax.models.tensors.tensor_map import TRANSPOSE, TensorMap, TensorRule
from fsl_jax.models.tensors.ties import Tie, Ties


@dataclasses.dataclass(frozen=True)
class MaskedLMNames:
    """The names of the modules and of the bias in a head for masked language modelling.

    Attributes:
      dense: the linear layer.
      norm: the norm.
      output: the output embedding, which is tied to the word embedding unless a checkpoint says
        otherwise.
      bias: the bias of each token. It has another name in the module `output` too, unless it is
        there alone.
    """

    dense: str
    norm: str
    output: str
    bias: str

    def ties(self, prefix: str) -> Ties:
        """Return the tensors that may be tied; some checkpoints have a prefix in names."""
        word = Tie(f"{self.output}.weight", "embeddings.word_embeddings.weight")
        copy = f"{self.output}.bias"
        return Ties((word, *((Tie(copy, self.bias),) if copy != self.bias else ())), prefix)

    def is_tied(self, reader: ConfigReader, tensors: Collection[str]) -> bool:
        """Return True if the output embedding is the word embedding, or if there is no head.

        Args:
          reader: a reader of `config.json`.
          tensors: the names of the checkpoint's tensors, without copies of tied ones.
        """
        tied = reader.flag("tie_word_embeddings", True) or f"{self.dense}.weight" not in tensors
        return tied and f"{self.output}.weight" not in tensors

    def tensor_map(self, tied: bool, ignored: tuple[str, ...] = ()) -> TensorMap:
        """Return the tensor map of the head.

        Args:
          tied: True if the output embedding is the word embedding.
          ignored: patterns of other tensors, as in `TensorMap`.
        """
        biases = {self.bias} if tied else {self.bias, f"{self.output}.bias"}
        output = (TensorRule(f"{self.output}.weight", "unembedding/kernel", TRANSPOSE),)
        return TensorMap(
            rules=(
                *dense_rules({self.dense: "lm_head/dense"}),
                *norm_rules({self.norm: "lm_head/norm"}),
                *(TensorRule(name, "lm_head/bias") for name in sorted(biases)),
                *(() if tied else output),
            ),
            ignored=(rf"{re.escape(self.output)}\.(weight|bias)", *ignored),
        )

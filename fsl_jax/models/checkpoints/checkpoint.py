"""What a checkpoint of any format holds."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fsl_jax.models.families.registry import Config
from fsl_jax.models.tensors.tensor_map import StoredLeaf

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint whose names and shapes have been found to be right.

    Attributes:
      config: the sizes of the model.
      tokenizer: of the model.
      leaves: paths and leaves of the parameter tree, to be read one by one.
      sha256: of the weights file, in hex; of several files, that of their names and hashes.
      labels: what the classes of its head are called, if it was asked for and classifies.
      end_tokens: those that end what the model writes, where the checkpoint names any.
    """

    config: Config
    tokenizer: "PreTrainedTokenizerFast"
    leaves: Iterable[tuple[str, StoredLeaf]]
    sha256: str
    labels: tuple[str, ...] = ()
    end_tokens: tuple[int, ...] = ()

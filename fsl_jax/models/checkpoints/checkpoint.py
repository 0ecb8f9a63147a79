"""The contents of a checkpoint in any format."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fsl_jax.models.blocks.pooling import TextEnd
from fsl_jax.models.families.registry import Config
from fsl_jax.models.tensors.stored import StoredLeaf

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclasses.dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint whose names and shapes have been checked.

    Attributes:
      config: the model's config.
      tokenizer: the model's tokenizer.
      leaves: an iterator over the paths and leaves of the parameter tree, which are read one by
        one.
      sha256: the SHA-256 of the weights file in hex; for several files, the hash of their names and
        hashes.
      labels: the names of the classes, if the checkpoint has a requested head that classifies.
      end_tokens: the tokens that end a generated text, if the checkpoint names any.
      file_hashes: the SHA-256 in hex, by file name, of the files beside the weights that decide
        what the model computes; empty for a GGUF file, which is all in `sha256`.
      text_end: the tokens by which its head finds the last token of a text that it classifies.
    """

    config: Config
    tokenizer: "PreTrainedTokenizerFast"
    leaves: Iterable[tuple[str, StoredLeaf]]
    sha256: str
    labels: tuple[str, ...] = ()
    end_tokens: tuple[int, ...] = ()
    file_hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    text_end: TextEnd = dataclasses.field(default_factory=TextEnd)

"""Tensors that are stored once and used twice, such as the word embedding as output embedding.

A config says that a model's embeddings are tied, and its files may say otherwise. As in
transformers, the files are right: tensors that are both stored and differ are not tied, and a tied
tensor may be stored under either name.
"""

import dataclasses
from collections.abc import Mapping

from fsl_jax.errors import problems_error
from fsl_jax.models.tensors.safetensors_files import SafetensorsTensor, have_equal_values


@dataclasses.dataclass(frozen=True)
class Tie:
    """Two names of one tensor, without the prefix that some checkpoints have.

    Attributes:
      copy: the name of the copy. It is the one that the model reads if the two differ.
      source: the name that transformers writes.
      may_differ: True if the model has a leaf for a copy that differs from its source.
    """

    copy: str
    source: str
    may_differ: bool = True

    @property
    def is_bias(self) -> bool:
        """True for a bias. A model has one leaf for both, since it reads the copy alone."""
        return self.copy.endswith(".bias")


@dataclasses.dataclass(frozen=True)
class Ties:
    """The tensors of a family that may be tied.

    Attributes:
      pairs: the pairs of names; several copies may have the same source.
      prefix: a prefix of names that only some checkpoints have.
      default: the value of `tie_word_embeddings` in a config that has none.
      always: True if the family ties them whatever the config says.
    """

    pairs: tuple[Tie, ...] = ()
    prefix: str = ""
    default: bool = True
    always: bool = False


def without_copies(
    directory: object,
    tensors: Mapping[str, SafetensorsTensor],
    ties: Ties,
    tied: bool,
) -> dict[str, SafetensorsTensor]:
    """Return a checkpoint's tensors with those that are tied under the name of their source.

    Args:
      directory: the checkpoint, for errors.
      tensors: the tensors by name.
      ties: the tensors that may be tied.
      tied: True if the config says that they are tied.

    Returns:
      The tensors by name. A copy is left only if it differs from its source, or if the config says
      that the two are not tied. A bias has both names.

    Raises:
      InputError: a copy differs from its source, and the model has no leaf for it.
    """
    stored = {name.removeprefix(ties.prefix): name for name in tensors}
    result, problems = dict(tensors), []
    for tie in ties.pairs:
        if tie.is_bias:
            _name_bias_twice(result, stored, tie, tied)
        elif tie.copy in stored:
            result[tie.copy] = result.pop(stored[tie.copy])
            if (tied or ties.always) and not _untied(result, stored, tie):
                del result[tie.copy]
            elif not tie.may_differ:
                problems.append(f"{stored[tie.copy]} differs from {stored[tie.source]}")
    if problems:
        raise problems_error(
            f"{directory}: tensors differ that are one embedding in this model. Save the "
            "checkpoint again with one of them:",
            problems,
        )
    return result


def _untied(result: dict[str, SafetensorsTensor], stored: dict[str, str], tie: Tie) -> bool:
    """Return True if a copy differs from its source; make it the source if there is none."""
    if tie.source not in stored:
        result[tie.source], stored[tie.source] = result[tie.copy], tie.source
    return not have_equal_values(result[tie.copy], result[stored[tie.source]])


def _name_bias_twice(
    result: dict[str, SafetensorsTensor], stored: dict[str, str], tie: Tie, tied: bool
) -> None:
    """Store the bias that the model reads under both names: the copy, or else a tied source."""
    if tie.copy in stored:
        result[stored.get(tie.source, tie.source)] = result[stored[tie.copy]]
    elif tied and tie.source in stored:
        result[tie.copy] = result[stored[tie.source]]

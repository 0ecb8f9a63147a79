"""The facts about a model family, in one object that all other code reads."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from fsl_jax.models.blocks.classifiers import ClassifierStyle
from fsl_jax.models.families.config import Config
from fsl_jax.models.tensors.stored import StoredTensor
from fsl_jax.models.tensors.tensor_map import TensorMap
from fsl_jax.models.tensors.ties import Ties


@dataclasses.dataclass(frozen=True)
class GGUFLayout:
    """The layout of a family's GGUF files.

    Attributes:
      architecture: the value of `general.architecture` in the file. A file with this value may hold
        a model of another family: for example, a Llama with a sliding window is a Mistral.
      config: makes the config from the file's name, its metadata and its tensors by name.
      tensor_map: makes the tensor map of a file from the config.
    """

    architecture: str
    config: Callable[[str, Mapping[str, Any], Mapping[str, StoredTensor]], Config]
    tensor_map: Callable[[Any], TensorMap]


@dataclasses.dataclass(frozen=True)
class Family:
    """The facts about a family of models.

    Attributes:
      module: makes the Flax module from a config and a dtype.
      config: makes the config from the name of `config.json`, its values, and the names of the
        checkpoint's tensors, without copies of tied ones; or from the tensors by name, which limit
        the sizes.
      tensor_map: makes the tensor map of a Hugging Face checkpoint from a config.
      json: makes the values of `config.json` from a config.
      heads: makes the tensor maps of the heads that a checkpoint may have, by kind of head as in
        `fsl_jax.models.blocks.head_kinds`.
      ties: the tensors that are tied unless a checkpoint contradicts it.
      classifier: how Hugging Face's models of this family classify texts.
      padding_token: the padding token of a config that names none, for decoders that have one.
      special_tokens: the special tokens by role, for a tokenizer whose files do not name them.
      tokenizer_class: the class that transformers gives to tokenizers whose files name none; empty
        if the family has no such class.
      overrides_tokenizer_class: True if transformers takes this class even where files name one.
      gguf: the layout of GGUF files; None if there is no such layout, or if another family's is
        used.
      architecture_stem: the start of the class names of models with a head, such as `Bert`; by
        default the name of the plain model without its ending.
      answering_renames: pairs of an old and a new part of tensor names, for checkpoints with a
        question-answering head.
      other_linear_layers: the names of Hugging Face's linear layers that the tensor map may lack.
        PEFT would adapt them too if its config matched their names. Those of all families are
        avoided for every model.
      vllm_adapters: True if vLLM serves models of this family with LoRA adapters.
      vllm_embeddings: the architectures that vLLM serves for their embeddings, without adapters, as
        its documentation lists them (docs/models/pooling_models/embed.md, read in November 2026).
    """

    module: Callable[[Any, jnp.dtype], nn.Module]
    config: Callable[[str, Mapping[str, Any], Collection[str]], Any]
    tensor_map: Callable[[Any], TensorMap]
    json: Callable[[Any], dict[str, Any]]
    heads: Callable[[Any], Mapping[str, TensorMap]] = lambda config: {}
    ties: Ties = dataclasses.field(default_factory=Ties)
    classifier: ClassifierStyle = dataclasses.field(default_factory=ClassifierStyle)
    padding_token: int | None = None
    special_tokens: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tokenizer_class: str = ""
    overrides_tokenizer_class: bool = False
    gguf: GGUFLayout | None = None
    architecture_stem: str = ""
    answering_renames: tuple[tuple[str, str], ...] = ()
    other_linear_layers: tuple[str, ...] = ()
    vllm_adapters: bool = False
    vllm_embeddings: tuple[str, ...] = ()

"""A loaded model: its config, Flax module, parameter tree and tokenizer."""

import dataclasses
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fsl_jax.errors import InputError
from fsl_jax.models.families import Config
from fsl_jax.models.layers import Dropout, PRNGKey
from fsl_jax.models.outputs import KeyValues, ModelOutput, Params

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# What users hold in their hands may be NumPy's: a tokenizer's output, say.
AnyArray = Array | np.ndarray
Tokens = Int[AnyArray, "B T"]
Mask = Bool[AnyArray, "B T"] | Bool[AnyArray, "B T S"]


@dataclasses.dataclass(frozen=True, eq=False)
class Pretrained:
    """A loaded model. Its methods are pure functions of the parameters that they are given.

    Attributes:
      name: the name it was loaded by.
      config: the sizes, a `BertConfig` or `LlamaConfig`.
      module: the Flax Linen module.
      params: the parameter tree, as the checkpoint has it.
      tokenizer: of Hugging Face's fast kind.
      sha256: of the weights file, in hex; of several files, the hash of their names and hashes.
    """

    name: str
    config: Config
    module: nn.Module
    params: Params
    tokenizer: "PreTrainedTokenizerFast"
    sha256: str

    def apply(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
        prefix: KeyValues | None = None,
        trunk: Float[Array, "B T D"] | None = None,
        dropout: float = 0.0,
        key: PRNGKey | None = None,
        unembed: bool = True,
    ) -> ModelOutput:
        """Runs the model.

        Top-level entries of `params` that are not the model's (a task's head) are not read.

        Args:
          params: a tree like `self.params`, perhaps with extra leaves, and perhaps with the upper
            layers cut off into `top_layers`.
          input_ids: int32 `[B, T]`.
          attention_mask: bool. `[B, T]` is True for real tokens; padding may be on either side,
            and a decoder's tokens see the real ones up to themselves and all real ones of the
            prefix. `[B, T, P + T]` is taken as it is: True where a token sees another.
          position_ids: int32 `[B, T]`. By default real tokens are counted from 0, or from the
            number of real tokens in the prefix; with a mask of three axes they must be given.
          prefix: the `key_values` of `P` tokens before these, for a decoder; of batch 1 they are
            shared by all rows, without a copy per row.
          trunk: what `self.trunk` returned for these tokens: embeddings and `layers` are skipped.
          dropout: rate of the dropout after BERT's embeddings and after the attention and the
            multilayer perceptron of each layer. A Python number, not traced.
          key: threefry key, required where the rate is not 0.
          unembed: whether a decoder computes `logits`.

        Returns:
          `hidden` `[B, T, D]`, and for a decoder `logits` `[B, T, V]` and `key_values`.

        Raises:
          InputError: the tokens are more than the model's longest sequence, position_ids are
            missing, or a dropout rate came without a key.
        """
        self._check_length(input_ids.shape[1] + (0 if prefix is None else prefix.mask.shape[1]))
        inputs = (input_ids, attention_mask, position_ids)
        tokens, mask, positions = jax.tree.map(jnp.asarray, inputs)
        return self._call(
            params,
            tokens,
            mask,
            position_ids=positions,
            prefix=prefix,
            trunk=trunk,
            dropout=Dropout(dropout, key),
            unembed=unembed,
        )

    def trunk(
        self,
        params: Params,
        input_ids: Tokens,
        attention_mask: Mask,
        *,
        position_ids: Tokens | None = None,
    ) -> Float[Array, "B T D"]:
        """Runs embeddings and `layers` alone, for parameters that are cut into two segments.

        Args:
          params: as in `apply`.
          input_ids: as in `apply`.
          attention_mask: as in `apply`.
          position_ids: as in `apply`.

        Returns:
          The activations before `top_layers` and before the final norm, `[B, T, D]`; given to
          `apply` as `trunk` they take the place of the layers below.
        """
        self._check_length(input_ids.shape[1])
        inputs = (input_ids, attention_mask, position_ids)
        tokens, mask, positions = jax.tree.map(jnp.asarray, inputs)
        return self._call(params, tokens, mask, position_ids=positions, method="trunk")

    def unembed(
        self,
        params: Params,
        hidden: Float[Array, "*batch D"],
        token_ids: Int[Array, "n"] | None = None,
    ) -> Float[Array, "*batch n"]:
        """Logits from hidden states, of all tokens or of some.

        Args:
          params: as in `apply`.
          hidden: `[..., D]`, after the final norm.
          token_ids: int32 `[n]`; only these rows of the output embedding are multiplied.

        Returns:
          float32 `[..., V]`, or `[..., n]`.

        Raises:
          InputError: the model is an encoder, which has no output embedding.
        """
        if not self.config.is_decoder:
            raise InputError(
                f"{self.name} is an encoder ({self.config.family}) and has no output embedding. "
                "Use a decoder, or a formulation with a head."
            )
        return self._call(params, hidden, token_ids, method="unembed")

    def _call(self, params: Params, *arguments: Any, **options: Any) -> Any:
        return self.module.apply({"params": params}, *arguments, **options)

    def _check_length(self, length: int) -> None:
        if length > self.config.max_length:
            raise InputError(
                f"{length} tokens are more than {self.name} can read at once, which is "
                f"{self.config.max_length}. Truncate the text, or use a model with longer input."
            )

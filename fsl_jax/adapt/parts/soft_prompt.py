"""The leaves of a soft prompt, which several methods train or compute.

In an encoder-decoder the prompt comes before the tokens that the encoder reads.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.tree import Params
from fsl_jax.errors import InputError

PROMPT = "embeddings/word/prompt"
PROMPT_FROZEN = "^embeddings/word/prompt_mask$"
SUFFIX = "embeddings/word/suffix"
SUFFIX_FROZEN = "^embeddings/word/suffix_mask$"


def word_table(params: Params, name: str, leaf: str = "prompt") -> Float[Array, "V D"]:
    """Return the word embedding of a model that takes a soft prompt.

    Args:
      params: the parameter tree.
      name: the name of the method, for errors.
      leaf: the name of the leaf: `prompt` or `suffix`.

    Returns:
      The table.

    Raises:
      InputError: the model already has such a prompt, or the leaf is a suffix and the model an
        encoder-decoder.
    """
    if leaf == "suffix" and "encoder" in params:
        raise InputError(
            f"{name} puts a suffix after the tokens of one stack of layers, and an encoder-decoder "
            "has two: put the vectors before the tokens (position='prefix')"
        )
    word = params["embeddings"]["word"]
    if leaf in word or f"{leaf}_mask" in word:
        raise InputError(f"{name} cannot be added: the parameters have a soft {leaf} already")
    return word["embedding"]


def with_prompt(params: Params, prompt: Float[Array, "P D"], leaf: str = "prompt") -> Params:
    """Return the parameters with a soft prompt without padding."""
    mask = jnp.ones(prompt.shape[0], jnp.float32)
    return with_word_leaves(params, {leaf: prompt, f"{leaf}_mask": mask})


def with_word_leaves(params: Params, leaves: dict[str, jax.Array]) -> Params:
    """Return the parameters with leaves beside the table of the word embedding."""
    embeddings = params.get("embeddings", {})
    word = embeddings.get("word", {}) | leaves
    return params | {"embeddings": embeddings | {"word": word}}

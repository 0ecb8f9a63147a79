"""Input and output embeddings, with the soft prompts that adaptations add to them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fsl_jax.compilation import target_platform
from fsl_jax.models.blocks.dense import INITIAL_WEIGHTS


class Embedding(nn.Module):
    """A table of vectors, looked up by id.

    Added leaves:
      prompt `[P, D]`: vectors that come before the tokens of every row (Lester et al. 2021,
      https://arxiv.org/abs/2104.08691), or where the ids are that `prompt_token_ids` gives them.
      suffix `[P, D]`: vectors of the ids that follow those of the table (see `suffix_tokens`).
    """

    size: int
    features: int
    dtype: jnp.dtype

    def setup(self):
        """Create the table."""
        self.embedding = self.param("embedding", INITIAL_WEIGHTS, (self.size, self.features))

    def __call__(self, ids: Int[Array, "B T"], length: int | None = None) -> Float[Array, "B S D"]:
        """Look up vectors.

        Args:
          ids: the ids of the vectors.
          length: S, by default T. The S - T vectors of `prompt` come before the others.

        Returns:
          `[B, S, D]` in the model's dtype.
        """
        if length is None or length == ids.shape[1]:
            return self._vectors(ids, ("suffix", "prompt")).astype(self.dtype)
        x = self._vectors(ids, ("suffix",)).astype(self.dtype)
        leaf: Array = self.get_variable("params", "prompt")
        prompt = leaf.astype(self.dtype)
        return jnp.concatenate([jnp.broadcast_to(prompt[None], (len(x), *prompt.shape)), x], axis=1)

    def _vectors(self, ids: Int[Array, "B T"], added_leaves: tuple[str, ...]) -> Array:
        """Look up vectors of the table, whose ids those of added leaves follow."""
        names = (name for name in added_leaves if self.has_variable("params", name))
        tables: list[Array] = [self.get_variable("params", name) for name in names]
        if not sum(map(len, tables)):
            return self.embedding[ids]
        is_word = ids < self.size
        table = jnp.concatenate(tables).astype(self.embedding.dtype)
        # A row that does not exist, so that the gradient adds nothing for words.
        row = jnp.where(is_word, len(table), ids - self.size)
        added = table.at[row].get(mode="fill", fill_value=0)
        words = self.embedding[jnp.minimum(ids, self.size - 1)]
        return jnp.where(is_word[..., None], words, added)

    def attend(
        self, hidden: Float[Array, "*batch D"], rows: Int[Array, " n"] | None = None
    ) -> Float[Array, "*batch V"]:
        """Multiply hidden states with the vectors of the table.

        Args:
          hidden: the hidden states.
          rows: the ids of the vectors to use; by default all.

        Returns:
          float32 products with V vectors.
        """
        table = self.embedding if rows is None else self.embedding[rows]
        table = table.astype(hidden.dtype)
        flat = hidden.reshape(-1, hidden.shape[-1])
        # If XLA makes the vectors the first operand, a CPU takes nine times as long for two vectors
        # and twice as long for 256. The barrier prevents this.
        swapped = target_platform() == "cpu"
        first, second = (table, flat) if swapped else (flat, table)
        axes = (((1,), (1,)), ((), ()))
        y = jax.lax.dot_general(first, second, axes, preferred_element_type=jnp.float32)
        y = jax.lax.optimization_barrier(y).T if swapped else y
        return y.reshape(*hidden.shape[:-1], table.shape[0])


class Unembedding(nn.Module):
    """The output embedding of a model that does not tie it to the input embedding."""

    size: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "*batch D"], rows: Int[Array, " n"] | None = None):
        """Return float32 logits `[..., V]`, or `[..., n]` of the tokens in `rows` alone."""
        kernel = self.param("kernel", INITIAL_WEIGHTS, (hidden.shape[-1], self.size))
        if rows is not None:
            kernel = kernel[:, rows]
        flat = hidden.reshape(-1, hidden.shape[-1])
        y = jnp.dot(flat, kernel.astype(hidden.dtype), preferred_element_type=jnp.float32)
        return y.reshape(*hidden.shape[:-1], kernel.shape[1])

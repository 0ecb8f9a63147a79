"""Class logits of many runs on the same examples."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import combine
from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit
from fsl_jax.data.examples import Example
from fsl_jax.processes import to_host
from fsl_jax.sharding import place_examples
from fsl_jax.tasks.encoding import batches_by_length, pad_id
from fsl_jax.tasks.formulation import Batch, Formulation


def predict(
    formulation: Formulation,
    method: Method,
    trainable: Params,
    frozen_leaves: Params,
    shared: Params,
    examples: Sequence[Example],
    batch_size: int = 32,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """Runs N adapted models on the same examples.

    What the runs share below their lowest trained leaf is computed once, since neither the examples
    nor the frozen base are mapped over the runs.

    Args:
      formulation: how examples become tokens and class logits.
      method: of any of the runs.
      trainable: trained leaves `[N, ...]`.
      frozen_leaves: frozen leaves that differ between runs, `[N, ...]`.
      shared: the frozen base.
      examples: E examples.
      batch_size: how many are read at a time.
      mesh: the mesh, if there are several devices.

    Returns:
      float32 logits `[N, E, C]`.
    """

    def logits(trainable: Params, frozen_leaves: Params, shared: Params, batch: Batch) -> jax.Array:
        def of_run(own: Params, numbers: Params) -> jax.Array:
            params = method.reparametrize(combine(own, numbers, shared))
            return formulation.logits(params, batch)

        return jax.vmap(of_run)(trainable, frozen_leaves)

    compiled = jit(logits)
    tokens, _ = formulation.tokenize(examples)
    runs = jax.tree.leaves(trainable)[0].shape[0]
    result = np.zeros((runs, len(examples), len(formulation.labels)), np.float32)
    limit = formulation.limit
    for rows, arrays in batches_by_length(tokens, batch_size, limit, pad_id(formulation)):
        batch = place_examples(arrays, mesh)
        found = to_host(compiled(trainable, frozen_leaves, shared, batch))
        result[:, rows] = found[:, : len(rows)]
    return result

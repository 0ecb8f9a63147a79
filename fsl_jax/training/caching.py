"""Compute the part of the model below the lowest trainable leaf once for each example.

If only a head is trained, the pooled representation of an example is cached; if only the top layers
are trained, the activations that enter them; and if only a soft prompt after the text is trained,
the keys and values of the text. All are computed without dropout.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fsl_jax.adapt.parts.soft_prompt import SUFFIX
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.compilation import jit
from fsl_jax.processes import to_host
from fsl_jax.sharding import place_examples
from fsl_jax.tasks.formulation import Batch, Formulation
from fsl_jax.tasks.head import HeadFormulation
from fsl_jax.tasks.suffix import text_states
from fsl_jax.training.program_size import even_size

ABOVE_TRUNK = ("head/", "top_layers/", "final_norm/", "pooler/", "unembedding/")
AFTER_TEXT = ("head/", SUFFIX)


def cached_name(mask: Params) -> str | None:
    """Return the name of the result that can be cached for an example.

    Args:
      mask: True where a leaf is trained.

    Returns:
      `representation` if only a head is trained, `trunk` if nothing below `top_layers` is trained,
      `text_states` if only a soft prompt after the text and a head are trained, and None if the
      whole model must run in each step.
    """
    trained = [path for path, chosen in flatten(mask).items() if chosen]
    if all(path.startswith("head/") for path in trained):
        return "representation"
    if all(path.startswith(ABOVE_TRUNK) for path in trained):
        return "trunk"
    if all(path.startswith(AFTER_TEXT) for path in trained):
        return "text_states"
    return None


def cache_examples(
    formulation: Formulation,
    shared: Params,
    mask: Params,
    pool: dict[str, np.ndarray],
    chunk: int,
    mesh: Mesh | None = None,
) -> Batch:
    """Add the arrays that are the same in every step to a pool of examples.

    Args:
      formulation: turns tokens into class logits.
      shared: the frozen parameters.
      mask: True where a leaf is trained.
      pool: arrays `[E, ...]` of all examples.
      chunk: the largest number of examples that are read at a time.
      mesh: the mesh, if there are several devices.

    Returns:
      The pool, with the cached arrays (see `Batch`) if something can be cached.
    """
    name = cached_name(mask)
    if name is None:
        return {key: jnp.asarray(value) for key, value in pool.items()}
    compute = jit(lower_part(formulation, name))
    count = len(pool["input_ids"])
    # Copies fill up the last chunk; chunks of even size need the fewest copies.
    devices = 1 if mesh is None else mesh.shape["runs"] * mesh.shape["batch"]
    chunk = even_size(count, chunk, devices)
    # Collect the chunks in host memory, since joining them on the device would hold them twice.
    cached: dict[str, np.ndarray] = {}
    for start in range(0, count, chunk):
        rows = np.minimum(np.arange(start, start + chunk), count - 1)
        batch = {key: value[rows] for key, value in pool.items()}
        for key, part in to_host(compute(shared, place_examples(batch, mesh))).items():
            whole = cached.setdefault(key, np.empty((count, *part.shape[1:]), part.dtype))
            whole[rows] = part
    return {key: jnp.asarray(value) for key, value in (pool | cached).items()}


def pool_shapes(
    formulation: Formulation, shared: Params, mask: Params, pool: dict[str, np.ndarray]
) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of the result of `cache_examples`, without computing it.

    Args:
      formulation: turns tokens into class logits.
      shared: the frozen parameters.
      mask: True where a leaf is trained.
      pool: arrays `[E, ...]` of all examples.

    Returns:
      A shape for each array of the pool.
    """
    shapes = {key: jax.ShapeDtypeStruct(value.shape, value.dtype) for key, value in pool.items()}
    name = cached_name(mask)
    if name is None:
        return shapes
    return shapes | jax.eval_shape(lower_part(formulation, name), shared, shapes)


def lower_part(formulation: Formulation, name: str) -> Callable[[Params, Batch], Batch]:
    """Return a function that computes the arrays to cache for a batch.

    Args:
      formulation: turns tokens into class logits.
      name: the name of the cached result, from `cached_name`.

    Returns:
      The function of the frozen parameters and a batch.
    """

    def compute(shared: Params, batch: Batch) -> Batch:
        present = {path: leaf for path, leaf in flatten(shared).items() if leaf is not None}
        params = unflatten(present)
        if name == "text_states":
            return text_states(formulation.pretrained, params, batch)
        if name == "trunk":
            return {name: formulation.trunk(params, batch)}
        if not isinstance(formulation, HeadFormulation):
            raise TypeError(f"{formulation.name} has no representation below a head")
        return {name: formulation.representation(params, batch)}

    return compute

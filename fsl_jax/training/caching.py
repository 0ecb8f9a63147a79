"""What lies below the lowest trained leaf, computed once for each example and kept.

Where only a head is trained, an example is its pooled representation; where only the top layers
are, it is the activations that enter them; and where only a soft prompt after the text is, it is
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
from fsl_jax.training.program import even_size

ABOVE_TRUNK = ("head/", "top_layers/", "final_norm/", "pooler/", "unembedding/")
AFTER_TEXT = ("head/", SUFFIX)


def cached_name(mask: Params) -> str | None:
    """What can be kept of an example.

    Args:
      mask: which leaves are trained.

    Returns:
      `representation` where only a head is trained, `trunk` where nothing below `top_layers` is,
      `text_states` where only a soft prompt after the text and a head are, and None where the whole
      model has to be run in each step.
    """
    trained = [path for path, chosen in flatten(mask).items() if chosen]
    if all(path.startswith("head/") for path in trained):
        return "representation"
    if all(path.startswith(ABOVE_TRUNK) for path in trained):
        return "trunk"
    if all(path.startswith(AFTER_TEXT) for path in trained):
        return "text_states"
    return None


def cache_trunk(
    formulation: Formulation,
    shared: Params,
    mask: Params,
    pool: dict[str, np.ndarray],
    chunk: int,
    mesh: Mesh | None = None,
) -> Batch:
    """Adds to a pool of examples what stays the same in every step.

    Args:
      formulation: how tokens become class logits.
      shared: the frozen parameters.
      mask: which leaves are trained.
      pool: arrays `[E, ...]` of all examples.
      chunk: the most examples that are read at a time.
      mesh: the mesh, if there are several devices.

    Returns:
      The pool with what a `Batch` may hold beside tokens where something can be kept, and as it was
      otherwise.
    """
    name = cached_name(mask)
    if name is None:
        return {key: jnp.asarray(value) for key, value in pool.items()}
    compute = jit(lower_part(formulation, name))
    count = len(pool["input_ids"])
    # The last chunk is filled up with copies: chunks of even size need the fewest.
    devices = 1 if mesh is None else mesh.shape["runs"] * mesh.shape["batch"]
    chunk = even_size(count, chunk, devices)
    # Collected in host memory: joined on the device, chunks would be there twice.
    kept: dict[str, np.ndarray] = {}
    for start in range(0, count, chunk):
        rows = np.minimum(np.arange(start, start + chunk), count - 1)
        batch = {key: value[rows] for key, value in pool.items()}
        for key, found in to_host(compute(shared, place_examples(batch, mesh))).items():
            whole = kept.setdefault(key, np.empty((count, *found.shape[1:]), found.dtype))
            whole[rows] = found
    return {key: jnp.asarray(value) for key, value in (pool | kept).items()}


def pool_shapes(
    formulation: Formulation, shared: Params, mask: Params, pool: dict[str, np.ndarray]
) -> dict[str, jax.ShapeDtypeStruct]:
    """The shapes of what `cache_trunk` returns; nothing is computed.

    Args:
      formulation: how tokens become class logits.
      shared: the frozen parameters.
      mask: which leaves are trained.
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
    """The function of frozen parameters and a batch that computes what `cached_name` names."""

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

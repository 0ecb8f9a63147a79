"""Compute the part of the model below the lowest trainable leaf once for each segment or token.

If only a head is trained, the pooled representation of a segment is cached; if only the top layers
are trained, the activations that enter them; and if only a soft prompt after the text is trained,
the keys and values of the text. All are computed without dropout.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from fsl_jax.adapt.parts.soft_prompt import SUFFIX
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.compilation import jit
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.heads.text_head import TextHead
from fsl_jax.formulations.suffix import text_states
from fsl_jax.packing.batch import Batch
from fsl_jax.packing.pool import Pool
from fsl_jax.packing.rows import fill_rows, place_rows
from fsl_jax.packing.windows import Packer
from fsl_jax.processes import to_host
from fsl_jax.sharding import device_rows

ABOVE_TRUNK = ("head/", "top_layers/", "final_norm/", "pooler/", "unembedding/")
AFTER_TEXT = ("head/", SUFFIX)

REPRESENTATION, TRUNK, TEXT_STATES = "representation", "trunk", "text_states"


def cached_name(mask: Params) -> str | None:
    """Return the name of the result that can be cached.

    Args:
      mask: True where a leaf is trained.

    Returns:
      `representation` if only a head is trained, `trunk` if nothing below `top_layers` is trained,
      `text_states` if only a soft prompt after the text and a head are trained, and None if the
      whole model must run in each step.
    """
    trained = [path for path, chosen in flatten(mask).items() if chosen]
    if all(path.startswith("head/") for path in trained):
        return REPRESENTATION
    if all(path.startswith(ABOVE_TRUNK) for path in trained):
        return TRUNK
    if all(path.startswith(AFTER_TEXT) for path in trained):
        return TEXT_STATES
    return None


def cache_pool(
    formulation: Formulation, shared: Params, mask: Params, pool: Pool, mesh: Mesh | None = None
) -> Pool:
    """Add to a pool what is the same in every step.

    Args:
      formulation: says how the model is asked.
      shared: the frozen parameters.
      mask: True where a leaf is trained.
      pool: the examples, on the host.
      mesh: the mesh, if there are several devices.

    Returns:
      The pool, with cached arrays (see `Batch`) if something can be cached.
    """
    name = cached_name(mask)
    if name is None:
        return jax.tree.map(jnp.asarray, pool)
    compute = jit(lower_part(formulation, name))
    # Collect the results in host memory, since joining them on the device would hold them twice.
    shapes = pool_shapes(formulation, shared, mask, pool)
    by_token, by_segment = (
        {key: np.zeros(shape.shape, shape.dtype) for key, shape in cached.items()}
        for cached in (shapes.by_token, shapes.by_segment)
    )
    segments = pool.segments()
    for placements in Packer(multiple=device_rows(mesh)).pack(pool.lengths):
        part = to_host(
            compute(shared, place_rows(fill_rows(segments, placements, pool.features), mesh))
        )
        counts = placements.weight > 0
        numbers, starts = placements.examples[counts], placements.starts[counts]
        for key, found in by_segment.items():
            found[numbers] = part[key][counts]
        for key, found in by_token.items():
            flat = part[key].reshape(-1, *found.shape[1:])
            for start, number in zip(starts, numbers, strict=True):
                begin, length = pool.begins[number], pool.lengths[number]
                found[begin : begin + length] = flat[start : start + length]
    whole = dataclasses.replace(pool, by_token=by_token, by_segment=by_segment)
    return jax.tree.map(jnp.asarray, whole)


def pool_shapes(formulation: Formulation, shared: Params, mask: Params, pool: Pool) -> Pool:
    """Return the shapes of the result of `cache_pool`, without computing it.

    Args:
      formulation: says how the model is asked.
      shared: the frozen parameters.
      mask: True where a leaf is trained.
      pool: the examples, on the host.

    Returns:
      The pool, with a shape instead of each array.
    """
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), pool)
    name = cached_name(mask)
    if name is None:
        return shapes
    features = {name: rows[:1] for name, rows in pool.features.items()}
    batch = unpacked_batch(pool.segments()[:1], features=features)
    part = jax.eval_shape(lower_part(formulation, name), shared, batch)
    tokens, count = len(pool.tokens), len(pool.lengths)
    if name == REPRESENTATION:
        return dataclasses.replace(shapes, by_segment=_for_each(count, part, 1))
    return dataclasses.replace(shapes, by_token=_for_each(tokens, part, 2))


def lower_part(formulation: Formulation, name: str) -> Callable[[Params, Batch], dict[str, Array]]:
    """Return a function that computes the arrays to cache for a batch.

    Args:
      formulation: says how the model is asked.
      name: the name of the cached result, from `cached_name`.

    Returns:
      The function of the frozen parameters and a batch.
    """

    def compute(shared: Params, batch: Batch) -> dict[str, Array]:
        present = {path: leaf for path, leaf in flatten(shared).items() if leaf is not None}
        params = unflatten(present)
        if name == TEXT_STATES:
            return text_states(formulation.pretrained, params, batch)
        if name == TRUNK:
            return {name: formulation.trunk(params, batch)}
        if not isinstance(formulation, TextHead):
            raise TypeError(f"{formulation.name} has no representation below a head")
        return {name: formulation.representation(params, batch)}

    return compute


def _for_each(
    count: int, part: Mapping[str, jax.ShapeDtypeStruct], axes: int
) -> dict[str, jax.ShapeDtypeStruct]:
    """Return shapes in which one axis of `count` replaces the first axes."""
    return {
        key: jax.ShapeDtypeStruct((count, *shape.shape[axes:]), shape.dtype)
        for key, shape in part.items()
    }

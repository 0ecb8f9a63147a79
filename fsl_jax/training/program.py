"""Compile a fit program for given shapes, and place its inputs."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import compile_lowered, jit, peak_memory
from fsl_jax.errors import InputError
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.packing.pool import Pool
from fsl_jax.sharding import parameter_shardings, place, replicate, replicated, run_shardings
from fsl_jax.training.fit import make_advance
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.state import FitState, Runs, initial_state


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A compiled program that trains up to `size` runs at once.

    Attributes:
      advance: the compiled function of one dispatch; the buffers of the state are donated to it.
      size: N, the number of runs that it trains.
      memory: the memory that it needs on each device, in bytes, as the compiler reports it.
      compile_seconds: the time that compiling took.
      mesh: the mesh that it was compiled for, if any.
      method: the method of its runs.
    """

    advance: Callable[[FitState, Runs, Params, Pool], FitState]
    size: int
    memory: int
    compile_seconds: float
    mesh: Mesh | None
    method: Method

    def place(
        self, trainable: Params, runs: Runs, count: int, config: FitConfig
    ) -> tuple[FitState, Runs]:
        """Place a group of runs on the program's devices.

        Args:
          trainable: trainable leaves `[n, ...]` of the group, n at most `size`.
          runs: the leaves and numbers that differ between the runs.
          count: n. Stopped copies of the last run fill up the program.
          config: the config of the program.

        Returns:
          The initial state and the runs, `size` of each.
        """
        state, runs = _fill(trainable, runs, self.size, count, config, self.method)
        if self.mesh is None:
            return state, runs
        return place((state, runs), run_shardings((state, runs), self.mesh))


def compile_program(
    formulation: Formulation,
    method: Method,
    config: FitConfig,
    size: int,
    trainable: Params,
    runs: Runs,
    shared: Params,
    pool: Pool,
    mesh: Mesh | None = None,
) -> Program:
    """Compile a program, without running it; shapes of arrays are enough.

    Args:
      formulation: turns tokens into class logits.
      method: the method of any of the runs; it is the same in all runs, except for leaves.
      config: the config of the program.
      size: N, the number of runs that the program trains.
      trainable: trainable leaves of any number of runs.
      runs: the leaves and numbers that differ between the runs.
      shared: the frozen base.
      pool: the examples of all runs.
      mesh: the mesh, if there are several devices.

    Returns:
      The program.

    Raises:
      InputError: a batch cannot be sharded evenly over the mesh.
      DoesNotFitError: the program needs more memory than a device has.
    """
    _require_even_batches(config, mesh)
    trainable, runs = jax.tree.map(functools.partial(_stacked_shape, size), (trainable, runs))
    state = jax.eval_shape(lambda leaves: initial_state(leaves, config, method), trainable)
    arguments = (state, runs, *jax.tree.map(_shape, (shared, pool)))
    if mesh is not None:
        arguments = _with_shardings(arguments, mesh)
    shardings = None if mesh is None else jax.tree.map(lambda leaf: leaf.sharding, arguments[0])
    start = time.monotonic()
    # The model finds the platform for which it is compiled in the current mesh.
    with contextlib.nullcontext() if mesh is None else jax.set_mesh(mesh):
        function = make_advance(formulation, method, config, mesh)
        rows = size * runs.training.shape.tokens
        advance = jit(function, rows, donate_argnums=0, out_shardings=shardings)
        compiled = compile_lowered(advance.lower(*arguments))
    seconds = time.monotonic() - start
    return Program(compiled, size, peak_memory(compiled), seconds, mesh, method)


def place_shared(shared: Params, pool: Pool, mesh: Mesh | None) -> tuple[Params, Pool]:
    """Place the frozen base and the examples as a program for the mesh expects them."""
    if mesh is None:
        return shared, pool
    return place(shared, parameter_shardings(shared, mesh)), replicate(pool, mesh)


# Compile this as a whole; otherwise each operation on each leaf would be compiled separately.
@functools.partial(jax.jit, static_argnames=("size", "count", "config", "method"))
def _fill(
    trainable: Params, runs: Runs, size: int, count: int, config: FitConfig, method: Method
) -> tuple[FitState, Runs]:
    positions = np.arange(size)
    rows = np.minimum(positions, count - 1)
    trainable, runs = jax.tree.map(lambda leaf: leaf[rows], (trainable, runs))
    state = initial_state(trainable, config, method)
    inert = dataclasses.replace(state.runs, stopped=jnp.asarray(positions >= count))
    return FitState(state.step, inert), runs


def _require_even_batches(config: FitConfig, mesh: Mesh | None) -> None:
    if mesh is not None and config.batch_size % mesh.shape["batch"]:
        raise InputError(
            f"--batch_size={config.batch_size} cannot be spread over --mesh_batch="
            f"{mesh.shape['batch']}: choose a multiple of it"
        )


def _stacked_shape(size: int, leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _with_shardings(arguments: tuple[Any, ...], mesh: Mesh) -> tuple[Any, ...]:
    state, runs, shared, pool = arguments
    shardings = (
        *run_shardings((state, runs), mesh),
        parameter_shardings(shared, mesh),
        jax.tree.map(lambda _: replicated(mesh), pool),
    )

    def placed(leaf: jax.ShapeDtypeStruct, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(placed, arguments, shardings)

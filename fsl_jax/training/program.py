"""A fit program compiled for given shapes, in groups of as many runs as fit in memory."""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.tree import Params
from fsl_jax.compilation import jit, peak_memory
from fsl_jax.errors import InputError
from fsl_jax.sharding import parameter_shardings, place, replicated, run_shardings
from fsl_jax.tasks.formulation import Batch, Formulation
from fsl_jax.training.fit import make_advance
from fsl_jax.training.fit_config import FitConfig
from fsl_jax.training.state import FitState, Runs, initial_state


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A compiled program that trains up to `size` runs at once.

    Attributes:
      advance: the compiled function of one dispatch; it takes over the state's memory.
      size: N, how many runs it trains.
      memory: bytes that it needs on each device, by the compiler's own figure.
      compile_seconds: how long compiling took.
      mesh: the mesh that it was compiled for, if any.
      method: the method of its runs.
    """

    advance: Callable[[FitState, Runs, Params, Batch], FitState]
    size: int
    memory: int
    compile_seconds: float
    mesh: Mesh | None
    method: Method

    def place(
        self, trainable: Params, runs: Runs, count: int, config: FitConfig
    ) -> tuple[FitState, Runs]:
        """Lays out a group of runs for the program.

        Args:
          trainable: trained leaves `[n, ...]` of the group, n at most `size`.
          runs: what differs between them.
          count: n; copies of the last run, already stopped, fill the program.
          config: of the program.

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
    pool: Mapping[str, Any],
    mesh: Mesh | None = None,
) -> Program:
    """Compiles a program; nothing is run, and shapes are enough.

    Args:
      formulation: how tokens become class logits.
      method: of any of the runs, which share all that is not a leaf.
      config: of the program.
      size: N, how many runs the program is to train.
      trainable: trained leaves of any number of runs.
      runs: what differs between them.
      shared: the frozen base.
      pool: arrays of all examples.
      mesh: the mesh, if there are several devices.

    Returns:
      The program.

    Raises:
      InputError: a batch cannot be spread evenly over the mesh.
    """
    if mesh is not None and config.batch_size % mesh.shape["batch"]:
        raise InputError(
            f"--batch_size={config.batch_size} cannot be spread over --mesh_batch="
            f"{mesh.shape['batch']}: choose a multiple of it"
        )
    trainable, runs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype), (trainable, runs)
    )
    state = jax.eval_shape(lambda leaves: initial_state(leaves, config, method), trainable)
    arguments = (state, runs, *jax.tree.map(_shape, (shared, pool)))
    if mesh is not None:
        arguments = _with_shardings(arguments, mesh)
    shardings = None if mesh is None else jax.tree.map(lambda x: x.sharding, arguments[0])
    start = time.monotonic()
    # Models look there for the platform that they are compiled for.
    with contextlib.nullcontext() if mesh is None else jax.set_mesh(mesh):
        function = make_advance(formulation, method, config, mesh)
        advance = jit(function, donate_argnums=0, out_shardings=shardings)
        compiled = advance.lower(*arguments).compile()
    seconds = time.monotonic() - start
    return Program(compiled, size, peak_memory(compiled), seconds, mesh, method)


def compile_largest(
    compile_size: Callable[[int], Program], runs: int, limit: int, multiple: int = 1
) -> Program:
    """Compiles a program for as many runs at once as memory holds.

    Args:
      compile_size: compiles a program of a size.
      runs: how many runs there are.
      limit: bytes that a program may take on a device.
      multiple: the size has to be a multiple of this, the mesh's axis of runs.

    Returns:
      The program. Its size divides the runs as evenly as groups of that number can.

    Raises:
      InputError: not even the smallest program fits.
    """
    size = even_size(runs, runs + multiple - 1, multiple)
    while True:
        program = compile_size(size)
        if program.memory <= limit:
            return program
        if size <= multiple:
            raise InputError(
                f"a program of {size} run(s) needs {program.memory / 2**30:.2f} GiB and "
                f"{limit / 2**30:.2f} GiB may be used: choose a smaller batch, shorter texts "
                "(--max_length), fewer shots or seeds where much is kept of each example (a soft "
                "prompt after the text), or a smaller model, or raise --memory_limit_gib"
            )
        # The figure grows about linearly with the runs, on top of what they share, so a program of
        # the size that is aimed at fits or is only a little too large.
        size = even_size(runs, min(size - 1, size * limit // program.memory), multiple)


def even_size(runs: int, largest: int, multiple: int) -> int:
    """The size of groups that are as few and as even as a largest size allows.

    Args:
      runs: how many runs there are.
      largest: the most runs in a group.
      multiple: the size has to be a multiple of this, and is no less, whatever the largest.

    Returns:
      The size.
    """
    most = max(largest // multiple, 1) * multiple
    groups = math.ceil(runs / most)
    return math.ceil(runs / groups / multiple) * multiple


def place_shared(shared: Params, pool: Batch, mesh: Mesh | None) -> tuple[Params, Batch]:
    """Lays out the frozen base and the examples as a program for the mesh expects them."""
    if mesh is None:
        return shared, pool
    whole = jax.tree.map(lambda _: replicated(mesh), pool)
    return place(shared, parameter_shardings(shared, mesh)), place(pool, whole)


# Compiled as a whole: one by one, the operations on each leaf would be compiled too.
@functools.partial(jax.jit, static_argnames=("size", "count", "config", "method"))
def _fill(
    trainable: Params, runs: Runs, size: int, count: int, config: FitConfig, method: Method
) -> tuple[FitState, Runs]:
    places = np.arange(size)
    rows = np.minimum(places, count - 1)
    trainable, runs = jax.tree.map(lambda leaf: leaf[rows], (trainable, runs))
    state = initial_state(trainable, config, method)
    inert = dataclasses.replace(state.runs, stopped=jnp.asarray(places >= count))
    return FitState(state.step, inert), runs


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

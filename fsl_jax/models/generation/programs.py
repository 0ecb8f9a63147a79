"""Compiled functions for generation: one per model, capacity and number of copies."""

import functools
from collections.abc import Callable
from typing import Any

from fsl_jax.compilation import jit


@functools.lru_cache(maxsize=64)
def program(function: Callable[..., Any], *static: Any, donated: int | None = None) -> Any:
    """Compile a function with its first arguments fixed; equal arguments give the same program.

    Args:
      function: the function to compile.
      *static: the fixed first arguments.
      donated: the index, among the remaining arguments, of a state that the function replaces. Its
        buffers are reused for the result, so that there is only one cache.

    Returns:
      The compiled function of the remaining arguments.
    """
    bound = functools.update_wrapper(functools.partial(function, *static), function)
    return jit(bound, donate_argnums=() if donated is None else (donated,))

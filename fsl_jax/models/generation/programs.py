"""The compiled programs of generation: one for a model, a capacity and a number of copies."""

import functools
from collections.abc import Callable
from typing import Any

from fsl_jax.compilation import jit


@functools.lru_cache(maxsize=64)
def program(function: Callable[..., Any], *static: Any, donated: int | None = None) -> Any:
    """The compiled function with its first arguments fixed; the same one for the same.

    Args:
      function: what is compiled.
      *static: its first arguments.
      donated: place, among the arguments after those, of the state that it changes. It is written
        into: there is one cache, not two.

    Returns:
      The function of the remaining arguments.
    """
    bound = functools.update_wrapper(functools.partial(function, *static), function)
    return jit(bound, donate_argnums=() if donated is None else (donated,))

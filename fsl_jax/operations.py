"""How many floating-point operations a function takes in matrix products.

The compiler's own count is of no use here: it counts the body of a loop once.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import partial_eval


def product_operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Counts the multiplications and additions of all matrix products of a function.

    What nothing depends on is not counted; a loop of unknown length counts once, and of branches
    the dearest.

    Args:
      function: a function of arrays.
      *arguments: its arguments; shapes are enough, and nothing is computed.

    Returns:
      The number of operations.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _operations(needed)


def _operations(jaxpr: core.Jaxpr) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn) -> int:
    name, parameters = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        operand: Any = equation.invars[0].aval
        product: Any = equation.outvars[0].aval
        summed = math.prod(operand.shape[axis] for axis in contracted)
        return 2 * summed * math.prod(product.shape)
    inside = [_operations(each) for each in _jaxprs(parameters)]
    if name == "cond":
        return max(inside)
    return sum(inside) * (parameters["length"] if name == "scan" else 1)


def _jaxprs(parameters: dict[str, Any]) -> list[core.Jaxpr]:
    """The functions that an operation calls."""
    found = []
    for value in parameters.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, core.ClosedJaxpr):
                found.append(each.jaxpr)
            elif isinstance(each, core.Jaxpr):
                found.append(each)
    return found

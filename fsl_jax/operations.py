"""Count the floating-point operations of a function's matrix products.

The compiler's count cannot be used here, since it counts the body of a loop once.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core
from jax.interpreters import partial_eval


def product_operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Count the multiplications and additions of all matrix products of a function.

    Operations whose results are not used are not counted. The body of a loop of unknown length
    counts once, and a conditional counts as its most expensive branch.

    Args:
      function: a function of arrays.
      *arguments: its arguments; shapes are enough, since nothing is computed.

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
    inner = [_operations(jaxpr) for jaxpr in _jaxprs(parameters)]
    if name == "cond":
        return max(inner)
    return sum(inner) * (parameters["length"] if name == "scan" else 1)


def _jaxprs(parameters: dict[str, Any]) -> list[core.Jaxpr]:
    """Return the jaxprs that an operation calls."""
    values: list[Any] = []
    for value in parameters.values():
        values += value if isinstance(value, tuple | list) else [value]
    opened = [value.jaxpr if isinstance(value, core.ClosedJaxpr) else value for value in values]
    return [value for value in opened if isinstance(value, core.Jaxpr)]

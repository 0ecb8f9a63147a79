"""Networks that compute a soft prompt, with the layers of PEFT's prompt encoder.

Networks of different widths and prompts of different lengths can be padded with zeros to one shape.
The padding changes neither the output for the real vectors nor their gradients.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.parts.linear import draw_linear, linear
from fsl_jax.adapt.tree import Params

_DIRECTIONS = ("forward", "backward")


def draw_mlp(key: jax.Array, path: str, width: int, hidden: int) -> Params:
    """Draw the leaves of three linear layers, `D` to `hidden` to `hidden` to `D`."""
    sizes = {"first": (width, hidden), "second": (hidden, hidden), "third": (hidden, width)}
    return {
        name: draw_linear(key, f"{path}/{name}", (inner,), (outer,))
        for name, (inner, outer) in sizes.items()
    }


def mlp(params: Params, x: Float[Array, "P D"], mask: Float[Array, " P"]) -> Float[Array, "P D"]:
    """Map each vector separately."""
    hidden = jax.nn.relu(linear(params["first"], x))
    hidden = jax.nn.relu(linear(params["second"], hidden))
    return linear(params["third"], hidden)


def draw_lstm(key: jax.Array, path: str, width: int, hidden: int, depth: int) -> Params:
    """Draw the leaves of `depth` bidirectional LSTM layers, and of two linear layers.

    As in PyTorch, the bounds of an LSTM depend on its hidden width alone, not on its inputs.
    """
    params: Params = {}
    gates = (4, hidden)
    for number in range(depth):
        inputs = (2, hidden) if number else (width,)
        params[f"lstm_{number}"] = {
            direction: {
                name: draw_linear(
                    key, f"{path}/lstm_{number}/{direction}/{name}", shape, gates, fan_in=hidden
                )
                for name, shape in (("input", inputs), ("hidden", (hidden,)))
            }
            for direction in _DIRECTIONS
        }
    return params | {
        "first": draw_linear(key, f"{path}/first", (2, hidden), (2, hidden)),
        "second": draw_linear(key, f"{path}/second", (2, hidden), (width,)),
    }


def lstm(params: Params, x: Float[Array, "P D"], mask: Float[Array, " P"]) -> Float[Array, "P D"]:
    """Run the LSTMs over all vectors, then map each vector separately."""
    states: Array = x
    for number in range(sum(name.startswith("lstm_") for name in params)):
        cells = params[f"lstm_{number}"]
        forward = _run(cells["forward"], states, mask, reverse=False)
        backward = _run(cells["backward"], states, mask, reverse=True)
        states = jnp.stack([forward, backward], axis=1)
    return linear(params["second"], jax.nn.relu(linear(params["first"], states)))


def _run(
    cell: Params, x: Float[Array, " P *inputs"], mask: Float[Array, " P"], reverse: bool
) -> Float[Array, "P H"]:
    """Return the states of one LSTM, which starts from zero after the padding."""
    projected = linear(cell["input"], x)

    def step(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple[tuple, Array]:
        (state, cell_state), (of_input, is_real) = carry, inputs
        gates = of_input + linear(cell["hidden"], state[None])[0]
        input_gate, forget_gate, new, output_gate = gates
        kept = jax.nn.sigmoid(forget_gate) * cell_state
        cell_state = kept + jax.nn.sigmoid(input_gate) * jnp.tanh(new)
        cell_state *= is_real
        state = jax.nn.sigmoid(output_gate) * jnp.tanh(cell_state)
        return (state, cell_state), state

    zeros = jnp.zeros(projected.shape[-1], projected.dtype)
    return jax.lax.scan(step, (zeros, zeros), (projected, mask), reverse=reverse)[1]

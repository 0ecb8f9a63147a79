"""Networks that compute a soft prompt, with the layers of PEFT's prompt encoder.

Networks of different widths and prompts of different lengths can be padded with zeros to one shape:
what they compute of the vectors that are there stays the same, and so does what they learn.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsl_jax.adapt.parts.linear import draw_linear, linear
from fsl_jax.adapt.tree import Params

_DIRECTIONS = ("forward", "backward")


def draw_mlp(key: jax.Array, path: str, width: int, hidden: int) -> Params:
    """The leaves of three linear maps, `D` to `hidden` to `hidden` to `D`."""
    sizes = {"first": (width, hidden), "second": (hidden, hidden), "third": (hidden, width)}
    return {
        name: draw_linear(key, f"{path}/{name}", (inner,), (outer,))
        for name, (inner, outer) in sizes.items()
    }


def mlp(params: Params, x: Float[Array, "P D"], mask: Float[Array, " P"]) -> Float[Array, "P D"]:
    """Maps every vector by itself."""
    hidden = jax.nn.relu(linear(params["first"], x))
    hidden = jax.nn.relu(linear(params["second"], hidden))
    return linear(params["third"], hidden)


def draw_lstm(key: jax.Array, path: str, width: int, hidden: int, depth: int) -> Params:
    """The leaves of LSTMs in both directions, `depth` of each, and of two linear maps.

    As in PyTorch, an LSTM is drawn for its hidden width alone, whatever comes in.
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
    """Lets the vectors see each other, then maps each of them."""
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
    """The states of one LSTM, which begins anew after padding."""
    projected = linear(cell["input"], x)

    def step(carry: tuple[Array, Array], inputs: tuple[Array, Array]) -> tuple[tuple, Array]:
        (state, memory), (own, there) = carry, inputs
        gates = own + linear(cell["hidden"], state[None])[0]
        let_in, keep, new, let_out = gates
        memory = jax.nn.sigmoid(keep) * memory + jax.nn.sigmoid(let_in) * jnp.tanh(new)
        memory *= there
        state = jax.nn.sigmoid(let_out) * jnp.tanh(memory)
        return (state, memory), state

    zeros = jnp.zeros(projected.shape[-1], projected.dtype)
    return jax.lax.scan(step, (zeros, zeros), (projected, mask), reverse=reverse)[1]

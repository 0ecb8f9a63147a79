"""All implementations of attention agree, in values and in gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.errors import InputError
from fsl_jax.models.attention import self_attention as module
from fsl_jax.models.attention.implementations import AUTO, CUDNN, WRITTEN_OUT, XLA
from fsl_jax.models.attention.self_attention import self_attention

BATCH, LENGTH, HEADS, GROUPS, WIDTH = 2, 6, 4, 2, 8

CAUSAL = jnp.broadcast_to(jnp.tril(jnp.ones((LENGTH, LENGTH), bool)), (BATCH, LENGTH, LENGTH))
PACKED = jnp.array([2, 2, 1, 1, 1, 0])
MASKS = {
    "causal": CAUSAL,
    "left padding": (CAUSAL & (jnp.arange(LENGTH) > 1)[None, None]).at[0].set(CAUSAL[0]),
    # The last token is padding, which sees nothing.
    "packed": CAUSAL & ((PACKED[:, None] == PACKED[None]) & (PACKED[None] > 0))[None],
    "for all queries": jnp.array([[[True] * 4 + [False] * 2], [[True] * LENGTH]]),
}


def states(dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 3)
    heads = (HEADS, GROUPS, GROUPS)
    shapes = [(BATCH, LENGTH, count, WIDTH) for count in heads]
    drawn = [jax.random.normal(k, shape) for k, shape in zip(keys, shapes, strict=True)]
    return [each.astype(dtype) for each in drawn]


def with_gradients(implementation, mask, dtype=jnp.float32):
    """The output, and the gradient of a product of it with something fixed."""
    inputs = states(dtype)
    value, pull = jax.vjp(
        lambda *each: self_attention(*each, mask, implementation=implementation), *inputs
    )
    direction = jax.random.normal(jax.random.key(1), value.shape).astype(value.dtype)
    # JAX's own attention mixes dtypes on the way back, too.
    with jax.numpy_dtype_promotion("standard"):
        return [value, *pull(direction)]


@pytest.mark.parametrize("name", MASKS)
def test_all_that_this_platform_has_agree(name):
    expected = with_gradients(WRITTEN_OUT, MASKS[name])
    for implementation in (XLA, AUTO):
        found = with_gradients(implementation, MASKS[name])
        for one, other in zip(found, expected, strict=True):
            # Gradients reach 3, of which processors round the last digits differently.
            np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-6)


def test_they_agree_in_bfloat16_as_far_as_it_reaches():
    exact = with_gradients(WRITTEN_OUT, CAUSAL)
    for implementation in (WRITTEN_OUT, XLA):
        found = with_gradients(implementation, CAUSAL, jnp.bfloat16)
        for one, other in zip(found, exact, strict=True):
            assert one.dtype == jnp.bfloat16
            tolerance = 0.02 * float(jnp.max(jnp.abs(other)))
            np.testing.assert_allclose(one.astype(jnp.float32), other, rtol=0, atol=tolerance)


def test_each_implementation_is_what_it_is_called(monkeypatch):
    called = []
    real = jax.nn.dot_product_attention

    def recorded(*arguments, **options):
        called.append(options["implementation"])
        return real(*arguments, **{**options, "implementation": "xla"})

    monkeypatch.setattr(jax.nn, "dot_product_attention", recorded)
    monkeypatch.setattr(module, "target_platform", lambda: "gpu")
    monkeypatch.setattr(jax, "__version_info__", (0, 11, 2))
    for implementation in (WRITTEN_OUT, XLA, CUDNN):
        self_attention(*states(jnp.bfloat16), CAUSAL, implementation=implementation)
    assert called == [XLA, CUDNN]


def test_a_cap_is_always_written_out():
    inputs = states()
    capped = self_attention(*inputs, CAUSAL, cap=0.5, implementation=XLA)
    expected = self_attention(*inputs, CAUSAL, cap=0.5, implementation=WRITTEN_OUT)
    np.testing.assert_array_equal(capped, expected)
    assert not np.allclose(capped, self_attention(*inputs, CAUSAL, implementation=XLA))


def test_what_cudnn_cannot_do_is_all_listed():
    query, keys, values = (each[..., :5] for each in states())
    mask = jnp.ones((BATCH, 1, 5), bool)
    with pytest.raises(InputError) as caught:
        self_attention(query[:, :5], keys[:, :5], values[:, :5], mask, implementation=CUDNN)
    for part in ("cpu", "float32", "5 wide", "5 tokens"):
        assert part in str(caught.value)


def test_an_unknown_implementation_names_the_known_ones():
    with pytest.raises(InputError, match="written_out"):
        self_attention(*states(), CAUSAL, implementation="writen_out")

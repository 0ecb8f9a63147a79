"""The loop ends with its last row, and tokens after the end of a row do not count."""

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.models.generation import decode_loop
from fsl_jax.models.generation.decode_loop import DecodeBatch, is_end, repeat_encoded
from fsl_jax.models.generation.prompt_reader import PromptReader
from fsl_jax.models.generation.sampling import Sampling
from fsl_jax.models.outputs import KeyValues

CAPACITY = 6


def decode(model, end_tokens, idle=(False, False)):
    batch = DecodeBatch(
        input_ids=jnp.array([[3, 17, 5], [11, 8, 9]], jnp.int32),
        mask=jnp.ones((2, 3), bool),
        keys=jax.random.split(jax.random.key(0), 2),
        idle=jnp.array(idle),
        end_tokens=jnp.array(end_tokens, jnp.int32),
    )
    reader = PromptReader.for_model(model)

    @jax.jit
    def run(params, batch):
        state = decode_loop.start(reader, CAPACITY, 1, params, batch, Sampling())
        return decode_loop.run(reader, params, state, batch, Sampling(), jnp.int32(CAPACITY))

    return run(model.params, batch)


def test_a_row_ends_with_its_end_token_and_the_loop_with_its_last_row(tiny_llama):
    whole = decode(tiny_llama, [])
    assert whole.lengths.tolist() == [CAPACITY, CAPACITY]
    assert not whole.done.any()
    tokens = np.asarray(whole.tokens)
    ends = [int(tokens[0, 1]), int(tokens[1, 2])]
    lengths = [1 + next(n for n, token in enumerate(row) if token in ends) for row in tokens]
    state = decode(tiny_llama, ends)
    assert state.lengths.tolist() == lengths
    assert state.done.all()
    assert int(state.step) == max(lengths) < CAPACITY
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(state.tokens[row, :length], tokens[row, :length])


def test_rows_that_only_fill_the_batch_are_done_from_the_start(tiny_llama):
    state = decode(tiny_llama, [], idle=(False, True))
    assert state.lengths.tolist() == [CAPACITY, 0]


def test_end_tokens_are_found_in_arrays_of_any_shape():
    tokens = jnp.array([[1, 2], [3, 4]])
    assert is_end(tokens, jnp.array([2, 3])).tolist() == [[False, True], [True, False]]
    assert not is_end(tokens, jnp.zeros(0, jnp.int32)).any()


def test_encoded_prompts_are_repeated_side_by_side():
    keys = jnp.arange(2, dtype=jnp.float32).reshape(1, 2, 1, 1, 1)
    encoded = KeyValues(keys, keys, jnp.array([[True], [False]]))
    assert repeat_encoded(None, 2) is None
    assert repeat_encoded(encoded, 1) is encoded
    repeated = repeat_encoded(encoded, 2)
    assert repeated.keys.reshape(-1).tolist() == [0, 0, 1, 1]
    assert repeated.mask.reshape(-1).tolist() == [True, True, False, False]

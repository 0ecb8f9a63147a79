"""One request at a time: what scores of packed trees have to agree with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.models.blocks.suffix_tokens import suffix_length, suffix_tokens


def _rows(sequences, length):
    ids = np.zeros((len(sequences), length), np.int32)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = sequence
    lengths = np.array([len(sequence) for sequence in sequences])
    return ids, np.arange(length)[None] < lengths[:, None]


@pytest.fixture(scope="session")
def read_alone():
    """Reads each request in a row of its own, without any tree.

    The function returns the log-probabilities of the tokens of each continuation, and whether each
    is the most probable token.
    """

    def read(pretrained, params, pairs, length=32):
        after = []
        if suffix_length(params):
            ids, is_real = (np.asarray(each[0]) for each in suffix_tokens(params, 1))
            after = ids[is_real].tolist()
        if pretrained.config.is_encoder_decoder:
            read = _rows([context for context, _ in pairs], length)
            start = pretrained.config.decoder_start_token
            inputs, _ = _rows([[start, *each[:-1]] for _, each in pairs], length)
            options, firsts = {"decoder_input_ids": inputs}, [0] * len(pairs)
        else:
            read = _rows([[*context, *after, *each[:-1]] for context, each in pairs], length)
            options, firsts = {}, [len(context) + len(after) - 1 for context, _ in pairs]

        @jax.jit
        def logits(params, ids, mask):
            return jax.nn.log_softmax(pretrained.apply(params, ids, mask, **options).logits)

        found = np.asarray(logits(jax.tree.map(jnp.asarray, params), *read))
        results = []
        for row, first, (_, each) in zip(found, firsts, pairs, strict=True):
            of_tokens = row[first : first + len(each)]
            chosen = of_tokens[np.arange(len(each)), list(each)]
            results.append((chosen, of_tokens.argmax(axis=1) == np.array(each)))
        return results

    return read

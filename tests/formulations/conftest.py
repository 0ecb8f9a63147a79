"""Tokenizers for texts of any alphabet, and packed rows beside texts that are read alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="session")
def byte_tokenizer():
    """One token a byte; a few pairs are joined, and words and spaces are kept apart."""
    from tokenizers import Tokenizer, decoders
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("a", "b"), ("ab", "c"), ("Ġ", "a")]
    vocabulary = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(vocabulary)}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture(scope="session")
def closing_tokenizer(tiny_tokenizer):
    """Ends every text with a token of its own, as the tokenizers of T5 do."""
    import copy

    from tokenizers.processors import TemplateProcessing

    closing = copy.deepcopy(tiny_tokenizer)
    closing.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A [UNK]", special_tokens=[("[UNK]", tiny_tokenizer.unk_token_id)]
    )
    return closing


@pytest.fixture(scope="session")
def opening_tokenizer(tiny_tokenizer):
    """Begins every text with a token of its own, as the tokenizers of many decoders do."""
    import copy

    from tokenizers.processors import TemplateProcessing

    opening = copy.deepcopy(tiny_tokenizer)
    opening.backend_tokenizer.post_processor = TemplateProcessing(
        single="[UNK] $A", special_tokens=[("[UNK]", tiny_tokenizer.unk_token_id)]
    )
    return opening


@pytest.fixture(scope="session")
def texts():
    """Token ids of five texts, one of which is a single token."""
    return [np.random.default_rng(n).integers(10, 64, n).tolist() for n in (9, 3, 5, 1, 7)]


@pytest.fixture(scope="session")
def padded():
    """Makes ids and a mask of texts, one in each row, padded on the right."""

    def make(tokens, length):
        mask = np.arange(length)[None] < np.array([len(ids) for ids in tokens])[:, None]
        ids = np.zeros(mask.shape, np.int32)
        ids[mask] = np.concatenate([np.asarray(each, np.int32) for each in tokens])
        return jnp.asarray(ids), jnp.asarray(mask)

    return make


@pytest.fixture(scope="session")
def packed():
    """Makes two rows of texts, with an example without tokens at the end that does not count."""
    from fsl_jax.formulations import packed_batch

    def make(segments):
        length = -(-sum(map(len, segments)) // 2) + 4
        batch = packed_batch(segments, length=length)
        assert batch.segment_ids.shape == (2, length)
        filler = {"starts": 0, "lengths": 0, "weight": 0}
        return batch.replace(
            **{
                name: jnp.append(
                    getattr(batch, name), jnp.asarray(value, getattr(batch, name).dtype)
                )
                for name, value in filler.items()
            }
        )

    return make


@pytest.fixture(scope="session")
def assert_same(packed, padded):
    """Compares logits and gradients of packed rows with those of another computation.

    The other one computes the logits of texts in rows of their own, up to a constant of each text.
    """

    def centred(logits):
        return logits - jnp.mean(logits, axis=1, keepdims=True)

    def compare(formulation, params, tokens, reference, batch=None):
        batch = packed(formulation.segments(params, tokens)) if batch is None else batch
        inputs = padded(tokens, 12)
        weights = np.random.default_rng(0).normal(size=(len(tokens), len(formulation.labels)))

        def of(logits):
            def loss(params):
                found = centred(logits(params)[: len(tokens)])
                return jnp.sum(found * jnp.asarray(weights, jnp.float32)), found

            return jax.value_and_grad(loss, has_aux=True)

        @jax.jit
        def both(params):
            whole = of(lambda params: formulation.outputs(params, batch))(params)
            return whole, of(lambda params: reference(params, *inputs))(params)

        ((_, logits), gradients), ((_, expected), expected_gradients) = both(params)
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
        assert np.abs(expected).max() > 1e-2
        for found, leaf in zip(*map(jax.tree.leaves, (gradients, expected_gradients)), strict=True):
            np.testing.assert_allclose(found, leaf, rtol=1e-3, atol=2e-5 * (1 + np.abs(leaf).max()))

    return compare


@pytest.fixture(scope="session")
def with_head(adapted):
    """Make a tree whose trainable leaves were all moved, the head of a formulation included."""

    def make(formulation, text, seed=0):
        base = formulation.pretrained
        params = formulation.prepare(base.params, jax.random.key(seed))
        return adapted(dataclasses.replace(base, params=params), text, seed, scale=0.3)

    return make

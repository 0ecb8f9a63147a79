"""Losses of answers in packed rows, beside those from all logits of a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.data.examples import text_example
from fsl_jax.formulations import packed_batch
from fsl_jax.models.blocks.suffix_tokens import append_suffix
from fsl_jax.models.generation.generate import generate

EXAMPLES = [
    text_example("w1 w2 w3", "far east"),
    text_example("w4", "north"),
    text_example("w5 w6 w7 w8 w9", "very very far w1 w2 w3"),
    text_example("w2 w2", ""),
]
"""Answers of 3, 2, 7 and 1 tokens, with the one that ends each."""

END = 63


def packed(writer, params, examples=EXAMPLES):
    tokenized = writer.tokenize(examples, answered=True)
    segments = writer.segments(params, tokenized.tokens)
    return packed_batch(segments, features=tokenized.features, length=24)


def filled(rows, on_left):
    """Pad token ids; return them with a mask."""
    width = max(map(len, rows))
    ids, mask = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), bool)
    for number, row in enumerate(rows):
        columns = slice(width - len(row), None) if on_left else slice(len(row))
        ids[number, columns], mask[number, columns] = row, True
    return jnp.asarray(ids), jnp.asarray(mask)


def unpacked_losses(writer, params):
    """Return the losses of answers from all logits of a model that reads each in its own row."""
    pretrained, tokenizer = writer.pretrained, writer.pretrained.tokenizer
    prompts = [tokenizer(f"{each.text} Topic :")["input_ids"] for each in EXAMPLES]
    answers = [[*tokenizer(each.answer)["input_ids"], END] for each in EXAMPLES]
    ids, mask = filled(prompts, on_left=not pretrained.config.is_encoder_decoder)
    targets, counts = filled(answers, on_left=False)
    if pretrained.config.is_encoder_decoder:
        start = pretrained.config.decoder_start_token
        inputs, _ = filled([[start, *answer[:-1]] for answer in answers], on_left=False)
        output = pretrained.apply(params, ids, mask, decoder_input_ids=inputs)
    else:
        ids, mask = append_suffix(params, ids, mask)
        ids = jnp.concatenate([ids, targets[:, :-1]], axis=1)
        mask = jnp.concatenate([mask, counts[:, 1:]], axis=1)
        output = pretrained.apply(params, ids, mask)
    log_probs = jax.nn.log_softmax(output.logits[:, -targets.shape[1] :])
    found = jnp.take_along_axis(log_probs, targets[..., None], axis=2)[..., 0]
    return -jnp.sum(jnp.where(counts, found, 0.0), axis=1)


CASES = [
    ("llama", "lora(rank=2)"),
    ("gpt2", "prompt_tuning(length=2)"),
    ("llama", "prompt_tuning(length=2, position='suffix')"),
    ("t5", "lora(rank=2)"),
    ("t5", "prompt_tuning(length=2)"),
]


@pytest.mark.parametrize(("family", "method"), CASES)
def test_packed_losses_and_gradients_are_those_of_all_logits(writers, adapted, family, method):
    writer = writers[family]
    params = adapted(writer.pretrained, method)
    batch = packed(writer, params)
    assert len(batch.input_ids) < len(EXAMPLES)
    weights = jnp.array([1.0, 2.0, -1.0, 0.5])

    def of(losses):
        def loss(params):
            found = losses(params)
            return jnp.sum(found * weights), found

        return jax.value_and_grad(loss, has_aux=True)

    @jax.jit
    def both(params):
        found = of(lambda params: writer.outputs(params, batch).sums)(params)
        return found, of(lambda params: unpacked_losses(writer, params))(params)

    ((_, losses), gradients), ((_, expected), expected_gradients) = both(params)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for found, leaf in zip(*map(jax.tree.leaves, (gradients, expected_gradients)), strict=True):
        np.testing.assert_allclose(found, leaf, rtol=1e-3, atol=2e-5 * (1 + np.abs(leaf).max()))


@pytest.mark.parametrize(
    ("family", "method"),
    [("llama", "prompt_tuning(length=2, position='suffix')"), ("t5", "prompt_tuning(length=2)")],
)
def test_losses_are_those_of_the_texts_that_the_model_writes(writers, adapted, family, method):
    writer = writers[family]
    params = adapted(writer.pretrained, method)
    (prompt,) = writer.prompts(EXAMPLES[:1])
    options = {"params": params, "max_new_tokens": 4}
    [[written]] = generate(writer.pretrained, [prompt.text], **options)
    ids = prompt.ids if family == "t5" else [*prompt.ids, *written.tokens]
    features = {"answer": np.array([written.tokens], np.int32)}
    batch = packed_batch(writer.segments(params, [ids]), features=features)
    found = jax.jit(writer.outputs)(params, batch)
    np.testing.assert_allclose(found.sums[0], -written.score, rtol=1e-4)


def test_one_long_answer_among_many_short_ones_changes_nothing(writers):
    """The places of the longest answer for each example are more than the tokens of the rows."""
    writer = writers["llama"]
    params = writer.pretrained.params
    examples = [*[text_example("w4", "")] * 9, EXAMPLES[2]]
    tokenized = writer.tokenize(examples, answered=True)
    batch = packed_batch(tokenized.tokens, features=tokenized.features)
    assert batch.features["answer"].size > batch.input_ids.size
    found = jax.jit(writer.outputs)(params, batch)
    assert found.tokens.tolist() == [1] * 9 + [7]
    few = jax.jit(writer.outputs)(params, packed(writer, params, examples[8:]))
    np.testing.assert_allclose(found.sums[8:], few.sums, rtol=1e-5)


def test_an_example_that_fills_up_a_batch_has_no_loss(writers):
    writer = writers["llama"]
    batch = packed(writer, writer.pretrained.params)
    batch = batch.replace(lengths=batch.lengths.at[1].set(0))
    found = jax.jit(writer.outputs)(writer.pretrained.params, batch)
    assert found.tokens.tolist() == [3, 0, 7, 1]
    assert found.sums[1] == 0

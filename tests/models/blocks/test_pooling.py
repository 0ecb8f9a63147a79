import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.models.blocks.pooling import POOLINGS, TextEnd

MASKS = {
    "right": [[True, True, True, False], [True, False, False, False], [True] * 4],
    "left": [[False, True, True, True], [False, False, False, True], [True] * 4],
}
ROWS = {
    "mean": lambda row: row.mean(axis=0),
    "cls": lambda row: row[0],
    "last": lambda row: row[-1],
}


@pytest.mark.parametrize("padding", MASKS)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_padding_is_left_out_on_either_side(pooling, padding):
    hidden = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    mask = np.array(MASKS[padding])
    pooled = POOLINGS[pooling](jnp.asarray(hidden), jnp.asarray(mask))
    expected = [ROWS[pooling](row[real]) for row, real in zip(hidden, mask, strict=True)]
    np.testing.assert_allclose(pooled, np.stack(expected), rtol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_texts_in_packed_rows_are_pooled_by_their_members(pooling):
    hidden = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    members = np.zeros((3, 7), bool)
    members[0, 4:6] = members[1, :3] = members[2, 6] = True
    pooled = POOLINGS[pooling](jnp.asarray(hidden), jnp.asarray(members))
    expected = [ROWS[pooling](hidden[own]) for own in members]
    np.testing.assert_allclose(pooled, np.stack(expected), rtol=1e-6)
    # An example that fills up a batch has no members.
    assert np.isfinite(POOLINGS[pooling](jnp.asarray(hidden), jnp.zeros((1, 7), bool))).all()


def test_the_last_token_of_texts_in_packed_rows():
    tokens = jnp.array([5, 0, 7, 0, 0, 6, 0])
    members = jnp.array([[0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1, 0]], bool)
    others = [[0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0]]
    assert TextEnd(padding=0).counted(members, tokens).astype(int).tolist() == others
    ends = [[0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1, 0]]
    assert TextEnd(end=7).counted(members, tokens).astype(int).tolist() == ends


def test_a_text_of_padding_alone_is_read_at_its_first_token_wherever_it_is():
    mask = jnp.array([[False, True, True]])
    found = TextEnd(padding=0).counted(mask, jnp.zeros((1, 3), jnp.int32))
    assert found.tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (TextEnd(), [[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [1, 1, 0, 0]]),
        (TextEnd(padding=0), [[1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]),
        (TextEnd(padding=-1), [[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [1, 1, 0, 0]]),
        (TextEnd(end=7), [[0, 0, 1, 0], [1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]),
    ],
)
def test_the_tokens_that_may_be_the_last_one(end, expected):
    tokens = jnp.asarray([[5, 0, 7, 0], [5, 0, 7, 7], [7, 7, 0, 0], [0, 0, 5, 5]])
    mask = jnp.asarray([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1], [1, 1, 0, 0]], bool)
    assert end.counted(mask, tokens).tolist() == np.array(expected, bool).tolist()


# The padding token of config.json is the tokenizer's, another one, none, or the family's.
CLASSIFIERS = {
    "llama": (transformers.LlamaForSequenceClassification, {"pad_token_id": 0, "eos_token_id": 0}),
    "llama-other": (transformers.LlamaForSequenceClassification, {"pad_token_id": 7}),
    "llama-none": (transformers.LlamaForSequenceClassification, {"pad_token_id": None}),
    "gpt2": (transformers.GPT2ForSequenceClassification, {"pad_token_id": 0, "eos_token_id": 0}),
    "gemma2": (transformers.Gemma2ForSequenceClassification, {}),
    "t5": (
        transformers.T5ForSequenceClassification,
        {"eos_token_id": 3, "decoder_start_token_id": 0},
    ),
    "mistral": (transformers.MistralForSequenceClassification, {"pad_token_id": 0}),
    "qwen2": (transformers.Qwen2ForSequenceClassification, {"pad_token_id": 0}),
    "qwen3": (transformers.Qwen3ForSequenceClassification, {"pad_token_id": 0}),
    "gemma3_text": (transformers.Gemma3TextForSequenceClassification, {}),
}
QUICK = ("llama", "gpt2", "gemma2", "t5")


def classifier(name, torch_reference):
    kind, options = CLASSIFIERS[name]
    config = kind.config_class
    if name == "t5":
        sizes = {"d_model": 16, "d_ff": 24, "num_layers": 1, "d_kv": 8, "num_heads": 2}
    elif name == "gpt2":
        sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 16}
    else:
        sizes = {
            "hidden_size": 16,
            "intermediate_size": 24,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "max_position_embeddings": 16,
        }
    return torch_reference.randomise(kind(config(vocab_size=40, num_labels=3, **sizes, **options)))


def texts(padding, end, left):
    """Texts that end with the padding token, or have it inside, and padding on either side."""
    rows = [[5, 6, 8, 9, 4], [5, 6, 8, 9, padding], [5, padding, 8, 9, 4], [5, padding, padding]]
    rows += [[padding] * 3, [5, 6, 8, 9, 4, 7, padding, padding]]
    rows = [row + [end] if end else row for row in rows]
    length = max(map(len, rows))
    ids, mask = np.full((len(rows), length), padding, np.int32), np.zeros((len(rows), length), bool)
    for number, row in enumerate(rows):
        at = length - len(row) if left and number % 2 else 0
        ids[number, at : at + len(row)], mask[number, at : at + len(row)] = row, True
    return ids, mask


def compare_with_transformers(name, tmp_path, torch_reference, word_tokenizer):
    model = classifier(name, torch_reference)
    model.save_pretrained(tmp_path)
    tokenizer = copy.deepcopy(word_tokenizer)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(3)
    tokenizer.save_pretrained(tmp_path)
    pretrained = fsl_jax.load(str(tmp_path), head="sequence_classification")
    apply = jax.jit(pretrained.apply)
    padding = model.config.pad_token_id
    # Absolute positions are counted from the first real token here, from the first column there.
    ids, mask = texts(padding or 0, 3 * (name == "t5"), left=name not in ("gpt2", "t5"))
    batches = [(ids, mask)]
    if padding is None:
        # Without a padding token, transformers takes single texts, and their last token.
        batches = [
            (row[None, real], np.ones((1, real.sum()), bool))
            for row, real in zip(ids, mask, strict=True)
        ]
    for tokens, real in batches:
        with torch.no_grad():
            output = model(
                input_ids=torch.tensor(tokens, dtype=torch.long),
                attention_mask=torch.tensor(real, dtype=torch.long),
            )
        expected = output.logits.numpy()
        found = apply(pretrained.params, tokens, real).logits
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", QUICK)
def test_classifiers_read_the_token_that_transformers_reads(
    name, tmp_path, torch_reference, word_tokenizer
):
    compare_with_transformers(name, tmp_path, torch_reference, word_tokenizer)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(set(CLASSIFIERS) - set(QUICK)))
def test_more_classifiers_read_the_token_that_transformers_reads(
    name, tmp_path, torch_reference, word_tokenizer
):
    compare_with_transformers(name, tmp_path, torch_reference, word_tokenizer)

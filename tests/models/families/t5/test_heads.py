"""The heads of T5 and mT5, compared with transformers where it has them."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax.traverse_util import flatten_dict

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.checkpoints.head_tensors import tensor_map_of
from fsl_jax.models.tensors.writing import write_tensors

END = 1
SIZES = {
    "vocab_size": 40,
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
    "eos_token_id": END,
    "num_labels": 3,
    "classifier_dropout": 0.0,
}
KINDS = {
    "sequence_classification": transformers.T5ForSequenceClassification,
    "token_classification": transformers.T5ForTokenClassification,
    "mt5 sequence_classification": transformers.MT5ForSequenceClassification,
}


@pytest.fixture(scope="module")
def tokenizer(special_tokenizer):
    """Forty words, of which the second ends a text."""
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_object=special_tokenizer.backend_tokenizer, pad_token="[PAD]", eos_token="[UNK]"
    )
    assert own.eos_token_id == END
    return own


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, torch_reference, tokenizer):
    """Return the loaded model with a head, the random model of transformers, and its directory."""
    made = {}

    def pair(name):
        if name not in made:
            kind = KINDS[name]
            config = kind.config_class(**SIZES, feed_forward_proj="gated-gelu")
            model = torch_reference.randomise(kind(config))
            model.set_attn_implementation("eager")
            # T5 does not scale its queries: their weights are small instead.
            for weight_name, weight in model.named_parameters():
                if weight_name.endswith(".q.weight"):
                    weight.data.mul_(SIZES["d_kv"] ** -0.5)
            directory = tmp_path_factory.mktemp("t5")
            model.save_pretrained(directory)
            tokenizer.save_pretrained(directory)
            loaded = fsl_jax.load(str(directory), head=name.split()[-1])
            made[name] = loaded, model, directory
        return made[name]

    return pair


@pytest.fixture(scope="module")
def texts(mixed_tokens):
    """Tokens of mixed lengths and their mask, padded on the right, that end as T5's texts do."""
    ids, mask = (each[:3].copy() for each in mixed_tokens)
    ids[np.arange(3), mask.sum(axis=1) - 1] = END
    return ids, mask


@pytest.mark.parametrize("name", KINDS)
def test_logits_and_gradients_agree(pairs, torch_reference, texts, mixed_tokens, name):
    import torch

    pretrained, model, _ = pairs(name)
    # The reference classifies a text by where its end is, without regard to padding before it.
    ids, mask = mixed_tokens if name == "token_classification" else texts
    model.zero_grad()
    inputs = (torch.tensor(ids, dtype=torch.long), torch.tensor(mask, dtype=torch.long))
    theirs = model(*inputs).logits
    weights = np.random.default_rng(2).standard_normal(theirs.shape).astype(np.float32)
    real = mask if theirs.ndim == 3 else slice(None)
    if theirs.ndim == 3:
        weights *= mask[:, :, None]
    (theirs * torch.tensor(weights)).sum().backward()

    @jax.jit
    def ours(params):
        def product(params):
            logits = pretrained.apply(params, ids, mask).logits
            return jnp.sum(logits * weights), logits

        return jax.grad(product, has_aux=True)(params)

    gradients, logits = ours(pretrained.params)
    expected = theirs.detach().numpy()
    assert np.abs(logits - expected)[real].max() < 1e-5 * np.abs(expected[real]).max()
    table = tensor_map_of(pretrained.config, pretrained.head)
    found = dict(write_tensors(flatten_dict(gradients, sep="/"), table))
    assert torch_reference._gradient_error(found, model) < 1e-5


def test_a_text_has_its_class_wherever_the_padding_is(pairs, texts):
    pretrained = pairs("sequence_classification")[0]
    ids, mask = texts
    left = [np.roll(ids[row], 7 - mask[row].sum()) for row in range(3)]
    apply = jax.jit(pretrained.apply)
    right = apply(pretrained.params, ids, mask).logits
    found = apply(pretrained.params, np.stack(left), mask[:, ::-1]).logits
    np.testing.assert_allclose(found, right, atol=2e-5)


@pytest.mark.parametrize("name", ["sequence_classification", "token_classification"])
def test_transformers_loads_what_is_exported(pairs, tmp_path, name):
    pretrained, model, _ = pairs(name)
    directory = export(pretrained, tmp_path / "out")
    weights = dict(type(model).from_pretrained(directory).named_parameters())
    assert weights.keys() == dict(model.named_parameters()).keys()
    for each, weight in model.named_parameters():
        np.testing.assert_array_equal(weights[each].numpy(force=True), weight.numpy(force=True))
    again = fsl_jax.load(str(directory), head=pretrained.head)
    assert again.config == pretrained.config
    jax.tree.map(np.testing.assert_array_equal, again.params, pretrained.params)


def test_features_are_the_mean_of_the_encoders_states(pairs, texts, tmp_path):
    """The decoder is not even read, and what is exported is transformers' T5EncoderModel."""
    import torch

    directory = pairs("sequence_classification")[2]
    pretrained = fsl_jax.load(str(directory), head="mean_features")
    assert pretrained.params.keys() == {"embeddings", "encoder"}
    ids, mask = texts
    output = jax.jit(pretrained.apply)(pretrained.params, ids, mask)
    assert output.logits is None
    exported = export(pretrained, tmp_path / "out")
    assert json.loads((exported / "config.json").read_text())["architectures"] == ["T5EncoderModel"]
    model = transformers.T5EncoderModel.from_pretrained(exported, attn_implementation="eager")
    with torch.no_grad():
        hidden = model(torch.tensor(ids), torch.tensor(mask)).last_hidden_state.numpy()
    expected = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1)[:, None]
    np.testing.assert_allclose(output.features, expected, atol=1e-5)
    again = fsl_jax.load(str(exported), head="mean_features")
    jax.tree.map(np.testing.assert_array_equal, again.params, pretrained.params)


def test_an_encoder_alone_says_what_it_can_be_loaded_for(pairs):
    directory = pairs("token_classification")[2]
    for head in (None, "seq2seq_lm", "sequence_classification"):
        with pytest.raises(InputError, match=r"encoder of a t5 alone.* head='mean_features'"):
            fsl_jax.load(str(directory), head=head, num_labels=None if head is None else 3)
    assert fsl_jax.load(str(directory), head="mean_features").head == "mean_features"


def test_a_text_that_is_classified_needs_an_end(pairs, word_tokenizer, tmp_path):
    pretrained = pairs("sequence_classification")[0]
    directory = export(pretrained, tmp_path / "out")
    word_tokenizer.save_pretrained(directory)
    with pytest.raises(InputError, match="sequence_classification needs a tokenizer with a eos_to"):
        fsl_jax.load(str(directory), head="sequence_classification")


def test_what_a_head_cannot_be_given_is_an_error(pairs, texts):
    ids, mask = texts
    pretrained = pairs("sequence_classification")[0]
    with pytest.raises(InputError, match=r"reads input_ids alone\. Leave decoder_input_ids"):
        pretrained.apply(pretrained.params, ids, mask, decoder_input_ids=ids)
    pairwise = np.repeat(mask[:, None], 7, axis=1)
    with pytest.raises(InputError, match=r"needs an attention_mask of shape \[B, T\]"):
        pretrained.apply(pretrained.params, ids, pairwise, position_ids=ids)
    encoder = pairs("token_classification")[0]
    with pytest.raises(InputError, match="head token_classification, without its decoder"):
        encoder.encode(encoder.params, ids, mask)

"""Every head of every family against transformers, with gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.blocks.head_kinds import FEATURES
from fsl_jax.models.blocks.heads import apply_head
from fsl_jax.models.blocks.layers import Dropout
from fsl_jax.models.blocks.pooling import POOLINGS
from fsl_jax.models.checkpoints.head_tensors import tensor_map_of
from fsl_jax.models.families.registry import FAMILIES
from fsl_jax.models.outputs import ModelOutput

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 26,
    "pad_token_id": 0,
    "num_labels": 3,
}
DISTILBERT = {"vocab_size": 40, "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 24, "bos_token_id": 2}
SIZES_OF = {
    "Bert": SIZES,
    "Roberta": SIZES,
    "XLMRoberta": SIZES,
    "DistilBert": DISTILBERT | {"max_position_embeddings": 24, "num_labels": 3},
    "GPT2": GPT2 | {"vocab_size": 40, "num_labels": 3, "pad_token_id": 0, "eos_token_id": 2},
    "Llama": SIZES | {"tie_word_embeddings": False, "num_key_value_heads": 2},
}
ENDINGS = {
    "masked_lm": "ForMaskedLM",
    "sequence_classification": "ForSequenceClassification",
    "token_classification": "ForTokenClassification",
}
CASES = [
    (stem, head)
    for stem in SIZES_OF
    for head in ENDINGS
    if not (stem in ("GPT2", "Llama") and head == "masked_lm")
    # Built as RoBERTa, under the name of another architecture.
    if not (stem == "XLMRoberta" and head != "masked_lm")
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, torch_reference, special_tokenizer):
    """A random model of transformers, loaded by us with a head, and that model."""
    made = {}

    def pair(stem, head):
        if (stem, head) not in made:
            kind = getattr(transformers, stem + ENDINGS[head])
            config = kind.config_class(**SIZES_OF[stem], attn_implementation="eager")
            model = torch_reference.randomise(kind(config))
            directory = tmp_path_factory.mktemp("model")
            model.save_pretrained(directory)
            special_tokenizer.save_pretrained(directory)
            made[stem, head] = fsl_jax.load(str(directory), head=head), model, directory
        return made[stem, head]

    return pair


@pytest.mark.parametrize(("stem", "head"), CASES)
def test_logits_and_gradients_agree(pairs, torch_reference, mixed_tokens, stem, head):
    pretrained, model, _ = pairs(stem, head)
    ids, mask = mixed_tokens
    if head == "sequence_classification" and not pretrained.config.is_decoder:
        # The reference takes the first token of a row, which may be padding on the left.
        ids, mask = ids[:3], mask[:3]
    table = tensor_map_of(pretrained.config, head)
    assert pretrained.head == head
    assert max(torch_reference.agreement(pretrained, model, table, ids, mask)) < 1e-5


@pytest.mark.parametrize(("stem", "head"), [case for case in CASES if case[0] != "XLMRoberta"])
def test_transformers_loads_what_is_exported(pairs, tmp_path, stem, head):
    pretrained, model, _ = pairs(stem, head)
    again = type(model).from_pretrained(export(pretrained, tmp_path / "out"))
    weights = dict(again.named_parameters())
    assert weights.keys() == dict(model.named_parameters()).keys()
    for name, weight in model.named_parameters():
        np.testing.assert_array_equal(weights[name].numpy(force=True), weight.numpy(force=True))


@pytest.mark.parametrize("stem", ["Bert", "Llama"])
def test_a_text_has_its_class_wherever_the_padding_is(pairs, mixed_tokens, stem):
    pretrained, _, _ = pairs(stem, "sequence_classification")
    ids, mask = mixed_tokens
    lengths = mask.sum(axis=1)
    right = np.where(mask[:3], ids[:3], 0)
    left = np.stack([np.roll(row, 7 - n) for row, n in zip(right, lengths[:3], strict=True)])
    apply = jax.jit(pretrained.apply)
    logits = apply(pretrained.params, np.concatenate([right, left]), mask).logits
    assert logits.shape == (6, 3)
    np.testing.assert_allclose(logits[:3], logits[3:], atol=2e-5)


def test_logits_of_some_words_are_those_of_all(pairs, mixed_tokens):
    pretrained, _, _ = pairs("Roberta", "masked_lm")
    output = jax.jit(pretrained.apply)(pretrained.params, *mixed_tokens)
    asked = jnp.array([7, 3, 3], jnp.int32)
    some = pretrained.unembed(pretrained.params, output.hidden[:, -1], asked)
    np.testing.assert_allclose(some, output.logits[:, -1][:, asked], atol=1e-5)
    without = jax.eval_shape(
        lambda params: pretrained.apply(params, *mixed_tokens, unembed=False), pretrained.params
    )
    assert without.logits is None


def test_a_classifier_gives_no_words(pairs):
    pretrained, _, _ = pairs("Llama", "token_classification")
    with pytest.raises(InputError, match="token_classification, not to give words"):
        pretrained.unembed(pretrained.params, jnp.zeros((1, 32)))


@pytest.mark.parametrize("head", FEATURES)
@pytest.mark.parametrize("stem", ["DistilBert", "GPT2"])
def test_features_are_pooled_hidden_states(pairs, mixed_tokens, stem, head):
    directory = pairs(stem, "token_classification")[2]
    pretrained = fsl_jax.load(str(directory), head=head)
    assert "classifier" not in pretrained.params
    output = jax.jit(pretrained.apply)(pretrained.params, *mixed_tokens)
    assert output.logits is None
    pooled = POOLINGS[FEATURES[head]](output.hidden, jnp.asarray(mixed_tokens[1]))
    np.testing.assert_allclose(output.features, pooled, rtol=1e-6, atol=1e-6)
    inputs = (mixed_tokens[0], np.ones((6, 7, 7), bool))
    positions = np.zeros((6, 7), np.int32)
    with pytest.raises(InputError, match=r"needs an attention_mask of shape \[B, T\]"):
        pretrained.apply(pretrained.params, *inputs, position_ids=positions)


def test_a_head_gives_float32_whatever_the_models_dtype(pairs, mixed_tokens):
    expected, _, directory = pairs("Bert", "masked_lm")
    pretrained = fsl_jax.load(str(directory), dtype=jnp.bfloat16, head="masked_lm")
    logits = jax.jit(pretrained.apply)(pretrained.params, *mixed_tokens).logits
    assert logits.dtype == jnp.float32
    wanted = jax.jit(expected.apply)(expected.params, *mixed_tokens).logits
    assert float(jnp.mean(jnp.abs(logits - wanted))) < 0.1 * float(jnp.std(wanted))


def test_a_head_has_the_hooks_of_its_layers(pairs, mixed_tokens):
    pretrained, _, _ = pairs("Roberta", "sequence_classification")
    dense = pretrained.params["classifier"]["dense"]
    adapted = dense | {
        "lora_a": jnp.ones((32, 2)),
        "lora_b": 0.1 * jnp.ones((2, 32)),
        "lora_scale": jnp.ones(()),
    }
    merged = dense | {"kernel": dense["kernel"] + 0.2}
    apply = jax.jit(pretrained.apply)

    def logits(leaves):
        classifier = pretrained.params["classifier"] | {"dense": leaves}
        return apply(pretrained.params | {"classifier": classifier}, *mixed_tokens).logits

    np.testing.assert_allclose(logits(adapted), logits(merged), atol=1e-4)
    assert jnp.any(jnp.abs(logits(adapted) - logits(dense)) > 1e-3)


@pytest.mark.parametrize(
    ("stem", "head", "drops"),
    [
        ("Bert", "sequence_classification", True),
        ("Roberta", "sequence_classification", True),
        ("DistilBert", "sequence_classification", True),
        ("Bert", "token_classification", True),
        ("GPT2", "token_classification", True),
        ("Llama", "token_classification", True),
        ("Llama", "sequence_classification", False),
        ("Bert", "masked_lm", False),
    ],
)
def test_a_head_drops_where_that_of_transformers_does(pairs, mixed_tokens, stem, head, drops):
    """Before the map to the classes; its kernel is made the identity, to see what goes into it."""
    pretrained, _, _ = pairs(stem, head)
    hidden = np.random.default_rng(0).standard_normal((6, 7, 32)).astype(np.float32)
    params = dict(pretrained.params)
    if "classifier" in params:
        own = params["classifier"]
        output = {
            name: jnp.eye(32) if name == "kernel" else jnp.zeros(32) for name in own["output"]
        }
        params["classifier"] = own | {"output": output}
    output, mask = ModelOutput(jnp.asarray(hidden)), jnp.asarray(mixed_tokens[1])
    classifier = FAMILIES[pretrained.config.family].classifier
    arguments = (pretrained.config, head, classifier, params, output, mask)
    exact = np.asarray(apply_head(*arguments).logits)
    found = np.asarray(apply_head(*arguments, Dropout(0.5, jax.random.key(0))).logits)
    if not drops:
        np.testing.assert_array_equal(found, exact)
        return
    kept = found != 0
    assert 0.3 < np.mean(kept[exact != 0]) < 0.7
    # Of what goes into its own linear map RoBERTa's drops as well.
    assert np.allclose(found[kept], 2 * exact[kept], rtol=1e-5) == (stem != "Roberta")


def test_the_dropout_of_a_call_reaches_the_head(pairs, mixed_tokens):
    pretrained, _, _ = pairs("Bert", "sequence_classification")
    key = jax.random.key(0)
    options = {"dropout": 0.5, "key": key}
    output = pretrained.apply(pretrained.params, *mixed_tokens, **options)
    without = pretrained.apply(pretrained.params, *mixed_tokens, **options, unembed=False)
    mask = jnp.asarray(mixed_tokens[1])
    classifier = FAMILIES[pretrained.config.family].classifier
    arguments = (pretrained.config, pretrained.head, classifier, pretrained.params, without, mask)
    assert jnp.any(jnp.abs(apply_head(*arguments).logits - output.logits) > 1e-2)
    expected = apply_head(*arguments, Dropout(0.5, key)).logits
    np.testing.assert_allclose(output.logits, expected, atol=1e-5)

import dataclasses

import jax
import numpy as np
import pytest
import torch
import transformers

import fsl_jax
from fsl_jax.errors import InputError
from fsl_jax.models import export
from fsl_jax.models.embedded import embedded_path
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.registry import FAMILIES, parameter_shapes

SIZES = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
REFERENCES = {
    "bert": (transformers.BertModel, SIZES | {"max_position_embeddings": 24}),
    "roberta": (transformers.RobertaModel, SIZES | {"max_position_embeddings": 26}),
    "xlm-roberta": (
        transformers.XLMRobertaModel,
        SIZES | {"max_position_embeddings": 26, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    ),
    "distilbert": (
        transformers.DistilBertModel,
        {
            "vocab_size": 40,
            "dim": 32,
            "hidden_dim": 48,
            "n_layers": 2,
            "n_heads": 4,
            "max_position_embeddings": 24,
        },
    ),
}


@pytest.fixture(scope="module", params=REFERENCES)
def tiny_pair(request, tmp_path_factory, torch_reference, word_tokenizer):
    """Return a random model of transformers after saving and loading it here, and itself."""
    kind, sizes = REFERENCES[request.param]
    config = kind.config_class(**sizes, attn_implementation="eager")
    model = torch_reference.randomise(kind(config))
    directory = tmp_path_factory.mktemp("bert")
    model.save_pretrained(directory)
    word_tokenizer.save_pretrained(directory)
    return fsl_jax.load(str(directory)), model


def table(pretrained):
    return FAMILIES[pretrained.config.family].tensor_map(pretrained.config)


@pytest.mark.parametrize("positions", ["counted", "given"])
def test_hidden_states_and_gradients_agree(
    tiny_pair, torch_reference, mixed_tokens, given_positions, positions
):
    pretrained, model = tiny_pair
    ids, mask = mixed_tokens
    model.zero_grad()
    inputs = (pretrained, model, table(pretrained), ids, mask)
    given = given_positions if positions == "given" else None
    assert max(torch_reference.agreement(*inputs, given)) < 1e-5


def test_the_longest_sequence_agrees_and_a_longer_one_is_an_error(tiny_pair, torch_reference):
    ids = np.random.default_rng(0).integers(4, 40, (1, 25), dtype=np.int32)
    mask = np.ones((1, 25), bool)
    pretrained, model = tiny_pair
    first = pretrained.config.first_position
    found = pretrained.apply(pretrained.params, ids[:, :24], mask[:, :24]).hidden
    positions = first + torch.arange(24)[None]
    with torch.no_grad():
        expected = model(torch.tensor(ids[:, :24]), position_ids=positions).last_hidden_state
    assert np.abs(found - expected.numpy()).max() < 1e-5 * expected.abs().max()
    with pytest.raises(InputError, match=r"25 tokens are more than .* 24\."):
        pretrained.apply(pretrained.params, ids, mask)


@pytest.mark.parametrize("tiny_pair", ["roberta", "xlm-roberta"], indirect=True)
def test_roberta_counts_positions_as_transformers_does(tiny_pair, mixed_tokens):
    """Its reference finds the padding by its token, and counts on from the padding's number."""
    pretrained, model = tiny_pair
    ids, mask = mixed_tokens
    ids = np.where(mask, ids, model.config.pad_token_id).astype(np.int32)
    # Also where the text itself has that token.
    ids[:, 1], mask = model.config.pad_token_id, mask.copy()
    with torch.no_grad():
        expected = model(torch.tensor(ids), torch.tensor(mask)).last_hidden_state.numpy()
    found = jax.jit(pretrained.apply)(pretrained.params, ids, mask).hidden
    assert np.abs(found - expected)[mask].max() < 1e-5 * np.abs(expected[mask]).max()


def test_transformers_loads_what_is_exported_and_so_do_we(tiny_pair, tmp_path):
    """Its padding's number, too, which the tokenizer here does not share."""
    pretrained, model = tiny_pair
    directory = export(pretrained, tmp_path / "out")
    again = type(model).from_pretrained(directory)
    for name, weight in model.named_parameters():
        np.testing.assert_array_equal(again.get_parameter(name).detach(), weight.detach())
    assert again.config.pad_token_id == model.config.pad_token_id
    assert fsl_jax.load(str(directory)).config == pretrained.config


def test_hidden_states_of_minilm_agree_with_transformers(torch_reference):
    pretrained = fsl_jax.load("minilm-l6")
    model = transformers.BertModel.from_pretrained(embedded_path("minilm-l6")).eval()
    texts = ["Which way works best?", "It depends on the data, and on how much of it there is."]
    batch = pretrained.tokenizer(texts, padding=True, return_tensors="np")
    ids, mask = batch["input_ids"].astype(np.int32), batch["attention_mask"].astype(bool)
    assert max(torch_reference.errors(pretrained, model, ids, mask)) < 1e-5


def test_the_tree_has_what_the_checkpoint_has(tiny_pair, tiny_bert):
    pretrained, _ = tiny_pair
    is_distilled = pretrained.config.family == "distilbert"
    assert ("pooler" in pretrained.params) != is_distilled
    assert ("token_type" in pretrained.params["embeddings"]) != is_distilled
    assert "pooler" not in tiny_bert.params


def test_heads_have_to_divide_the_width():
    with pytest.raises(InputError, match="5 heads"):
        BertConfig(40, hidden_size=32, mlp_size=48, num_layers=1, num_heads=5, max_length=8)


BASE = BertConfig(
    vocab_size=30522,
    hidden_size=768,
    mlp_size=3072,
    num_layers=12,
    num_heads=12,
    max_length=512,
    has_pooler=True,
)
LARGE = dataclasses.replace(
    BASE,
    hidden_size=1024,
    mlp_size=4096,
    num_layers=24,
    num_heads=16,
    num_token_types=1,
    first_position=2,
)
# The encoder with its pooler and without a head: transformers' BertModel and RobertaModel have as
# many. In round numbers their authors state 110M (https://arxiv.org/abs/1810.04805), 355M for
# RoBERTa-large (https://github.com/facebookresearch/fairseq/tree/main/examples/roberta) and 66M for
# DistilBERT (https://arxiv.org/abs/1910.01108). With the masked language model's head and without
# the pooler RoBERTa-large has 355,412,057.
FULL_SIZES = {
    "BERT-base": (BASE, 109_482_240),
    "RoBERTa-large": (
        dataclasses.replace(LARGE, vocab_size=50265, family="roberta"),
        355_359_744,
    ),
    "XLM-RoBERTa-large": (
        dataclasses.replace(LARGE, vocab_size=250_002, family="xlm-roberta"),
        559_890_432,
    ),
    "DistilBERT-base": (
        dataclasses.replace(
            BASE, num_layers=6, num_token_types=0, has_pooler=False, family="distilbert"
        ),
        66_362_880,
    ),
}


@pytest.mark.parametrize("name", FULL_SIZES)
def test_full_sizes_have_the_parameters_that_their_authors_state(name, shapes_on_a_device):
    config, parameters = FULL_SIZES[name]
    shapes = parameter_shapes(config)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == parameters
    largest = shapes_on_a_device(shapes)["layers/mlp/up/kernel"]
    assert largest == (config.num_layers, config.hidden_size, config.mlp_size // 8)

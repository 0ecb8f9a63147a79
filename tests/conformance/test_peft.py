"""Forward passes and gradients equal PEFT's on the same weights, for the methods that PEFT has."""

import jax
import jax.numpy as jnp
import numpy as np
import peft
import pytest
import torch
import transformers
from optax.losses import softmax_cross_entropy_with_integer_labels as cross_entropy
from torch.nn.utils.rnn import pad_sequence

import fsl_jax
from fsl_jax.adapt import LoRA, attach, combine, partition
from fsl_jax.adapt.tree import flatten
from fsl_jax.formulations import HeadFormulation, Template, TemplateFormulation, Verbalizer
from fsl_jax.formulations.batches import packed_batch
from fsl_jax.formulations.labels import label_indices

RANK, ALPHA = 3, 12
SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
# Where PEFT's modules are, and where the tree's.
BERT_PLACES = {
    "attention/query": "encoder.layer.{}.attention.self.query",
    "attention/value": "encoder.layer.{}.attention.self.value",
    "mlp/up": "encoder.layer.{}.intermediate.dense",
}
LLAMA_PLACES = {
    "attention/query": "model.layers.{}.self_attn.q_proj",
    "attention/value": "model.layers.{}.self_attn.v_proj",
    "mlp/up": "model.layers.{}.mlp.up_proj",
}


def bert():
    config = transformers.BertConfig(**SIZES)
    return transformers.BertModel(config, add_pooling_layer=False), BERT_PLACES


def llama():
    config = transformers.LlamaConfig(**SIZES, num_key_value_heads=2, tie_word_embeddings=True)
    return transformers.LlamaForCausalLM(config), LLAMA_PLACES


def randomise(model):
    """Every parameter random, so that no wrong place is hidden by a zero or a one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
            if "norm" in name.lower() and name.endswith("weight"):
                parameter += 1


def with_adapter(model, places):
    """The model with LoRA in PEFT, its adapter random as well."""
    targets = [place.rpartition("{}.")[2] for place in places.values()]
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, lora_dropout=0.0)
    adapted = peft.get_peft_model(model, config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return adapted


def stacked(adapted, places, read):
    """A tree's leaves by path out of PEFT's modules; `read` takes what is wanted of a parameter."""
    parameters = dict(adapted.named_parameters())
    return {
        f"layers/{path}/{leaf}": np.stack(
            [
                read(parameters[f"base_model.model.{place.format(layer)}.{part}.default.weight"]).T
                for layer in range(SIZES["num_hidden_layers"])
            ]
        )
        for path, place in places.items()
        for leaf, part in (("lora_a", "lora_A"), ("lora_b", "lora_B"))
    }


def class_logits(adapted, formulation, params, tokens):
    """The class logits of PEFT's model, worked out in PyTorch with each text in its own row."""
    ids = pad_sequence([torch.tensor(each) for each in tokens], batch_first=True)
    mask = torch.arange(ids.shape[1]) < torch.tensor(list(map(len, tokens)))[:, None]
    output = adapted(input_ids=ids, attention_mask=mask.long())
    if formulation.name == "head":
        weights = mask[:, :, None].float()
        pooled = (output.last_hidden_state * weights).sum(1) / weights.sum(1)
        kernel, bias = (torch.from_numpy(np.array(params["head"][n])) for n in ("kernel", "bias"))
        return pooled @ kernel + bias
    last = output.logits[torch.arange(len(ids)), mask.sum(1) - 1]
    return last[:, formulation.words.first_tokens.tolist()]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning:transformers")
@pytest.mark.parametrize("make", [bert, llama])
def test_lora_computes_what_peft_computes(make, tmp_path, tiny_tokenizer, tiny_dataset):
    model, places = make()
    randomise(model)
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    pretrained = fsl_jax.load(str(tmp_path))
    adapted = with_adapter(model, places)

    labels = tiny_dataset.labels
    if pretrained.config.is_decoder:
        words = Verbalizer.from_mapping(labels)
        formulation = TemplateFormulation(pretrained, labels, Template("{text} Topic :"), words)
    else:
        formulation = HeadFormulation(pretrained, labels)
    examples = tiny_dataset.train[:6]
    tokens, label = formulation.tokenize(examples).tokens, label_indices(examples, labels)
    params = formulation.prepare(pretrained.params, jax.random.key(0))
    method = LoRA(RANK, ALPHA * 1.0, "(query|value|up)$")
    params, mask = attach(params, method, jax.random.key(1))
    for path, leaf in stacked(adapted, places, lambda each: each.detach().numpy()).items():
        *parents, name = path.split("/")
        layer = params
        for parent in parents:
            layer = layer[parent]
        layer[name] = jnp.asarray(leaf)
    trainable, frozen = partition(params, mask)
    batch = packed_batch(formulation.segments(params, tokens), label)
    assert len(batch.input_ids) < len(tokens)

    @jax.jit
    def loss_of(trainable, frozen):
        logits = formulation.outputs(combine(trainable, frozen), batch)
        return cross_entropy(logits, batch.targets).mean(), logits

    (loss, logits), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, frozen)
    reference = class_logits(adapted, formulation, params, tokens)
    # Scores of label words are log-probabilities up to a constant that the classes share.
    np.testing.assert_allclose(
        jax.nn.log_softmax(logits), reference.log_softmax(-1).detach().numpy(), atol=1e-5
    )
    expected = torch.nn.functional.cross_entropy(reference, torch.from_numpy(label).long())
    expected.backward()
    np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
    for path, gradient in stacked(adapted, places, lambda each: each.grad.numpy()).items():
        largest = np.abs(gradient).max()
        assert largest > 1e-3
        np.testing.assert_allclose(
            flatten(gradients)[path] / largest, gradient / largest, atol=1e-5
        )

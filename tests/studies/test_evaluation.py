"""Evaluating saved adapters: the numbers, the files, and what does not fit together."""

import hashlib
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.files.adapter_layout import RECORD
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.errors import InputError
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.evaluation import Evaluation, evaluate_adapter, write_evaluation
from fsl_jax.studies.planning.formulations import describe_formulation
from fsl_jax.tasks.encoding import encode
from fsl_jax.tasks.head import HeadFormulation
from fsl_jax.tasks.template import Template
from fsl_jax.tasks.template_formulation import TemplateFormulation
from fsl_jax.tasks.verbalizer import Verbalizer
from fsl_jax.training.predict import predict
from fsl_jax.training.stack import stack_padded, stack_runs

WORDS = ["[PAD]", "[UNK]", "Kind", "Topic", ":", "apple", "pear", "bean", "leek", "fruit", "herb"]
TEST = [
    Example("apple", "fruit"),
    Example("pear apple pear", "fruit"),
    Example("bean", "herb"),
    Example("leek leek bean " * 6, "herb"),
    Example("apple leek", "herb"),
]
DATA = Dataset("garden", (), (), tuple(TEST), ("fruit", "herb"))


def tokenizer():
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )


def random_leaves(shapes, scale=0.5):
    random = np.random.default_rng(0)
    return {
        path: jnp.asarray(random.normal(size=shape, scale=scale), jnp.float32)
        for path, shape in shapes.items()
    }


def tiny(config):
    params = unflatten(random_leaves(parameter_shapes(config)))
    return Pretrained("tiny", config, module_of(config), params, tokenizer(), "ab" * 32)


@pytest.fixture(scope="module")
def bert():
    return tiny(BertConfig(len(WORDS), 8, 16, num_layers=2, num_heads=2, max_length=16))


@pytest.fixture(scope="module")
def llama():
    return tiny(LlamaConfig(len(WORDS), 8, 16, 2, 2, 1, 4, max_length=16))


def leaves_of(pretrained, method, prepared):
    extended = flatten(jax.eval_shape(method.extend, prepared, jax.random.key(0)))
    rules = "|".join((*method.rules, "^head/"))
    shapes = {path: leaf.shape for path, leaf in extended.items() if re.search(rules, path)}
    return unflatten(random_leaves(shapes))


@pytest.fixture(scope="module")
def head_adapter(bert, tmp_path_factory):
    """A directory with a BitFit adapter with a head, whose labels are not sorted."""
    directory = tmp_path_factory.mktemp("adapters") / "head"
    formulation = HeadFormulation(bert, ("herb", "fruit", "moss"), "last", 12)
    prepared = formulation.prepare(bert.params, jax.random.key(0))
    leaves = leaves_of(bert, BitFit(), prepared)
    save_adapter(directory, leaves, BitFit(), bert, describe_formulation(formulation))
    return directory


@pytest.fixture(scope="module")
def head_evaluation(bert, head_adapter):
    return evaluate_adapter(bert, head_adapter, DATA, batch_size=2)


def test_logits_are_those_of_the_formulation_on_the_adapted_model(head_evaluation):
    formulation, adapter = head_evaluation.formulation, head_evaluation.adapter
    assert formulation.labels == ("herb", "fruit", "moss")
    assert (formulation.pooling, formulation.limit) == ("last", 12)
    batch = encode(formulation, TEST).arrays
    expected = jax.jit(formulation.logits)(adapter.params, batch)
    np.testing.assert_allclose(head_evaluation.logits, expected, rtol=1e-4, atol=1e-5)


def test_an_adapter_gives_what_its_run_gave_among_others_in_a_program(bert, tmp_path):
    formulation = HeadFormulation(bert, ("fruit", "herb"))
    methods = [LoRA(rank=2), LoRA(rank=3, alpha=4.0)]
    stack = stack_runs(formulation, bert.params, methods, seeds=[1, 2])
    runs = [_moved(stack.own(stack.trainable, run), run) for run in range(2)]
    padded = flatten(stack_padded(runs))
    trained = unflatten({path: padded.get(path) for path in flatten(stack.trainable)})
    together = predict(formulation, stack.method, trained, stack.frozen_leaves, stack.shared, TEST)
    assert not np.allclose(together[0], together[1], atol=1e-2)
    for run, method in enumerate(methods):
        description = describe_formulation(formulation)
        save_adapter(tmp_path, stack.own(trained, run), method, bert, description)
        found = evaluate_adapter(bert, tmp_path, DATA).logits
        np.testing.assert_allclose(found, together[run], rtol=1e-4, atol=1e-5)


def _moved(leaves, seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + jnp.asarray(random.normal(size=x.shape), x.dtype), leaves)


def test_what_was_evaluated_and_cut_is_counted(head_evaluation, bert, head_adapter):
    assert head_evaluation.truncated == 1
    assert len(evaluate_adapter(bert, head_adapter, DATA, max_test=3).examples) == 3


def fixed_evaluation(head_evaluation):
    """Predictions as they are wanted: herb, fruit, moss for the classes 0, 1, 2."""
    predicted = np.array([1, 1, 0, 2, 1])
    logits = np.log(np.where(np.arange(3) == predicted[:, None], 0.8, 0.1)).astype(np.float32)
    return Evaluation(
        head_evaluation.adapter, head_evaluation.formulation, DATA, tuple(TEST), logits
    )


def test_counts_by_class(head_evaluation):
    evaluation = fixed_evaluation(head_evaluation)
    assert evaluation.accuracy == 0.6
    np.testing.assert_array_equal(evaluation.confusion, [[1, 1, 1], [0, 2, 0], [0, 0, 0]])
    assert evaluation.classes["fruit"] == {
        "examples": 2,
        "predicted": 3,
        "correct": 2,
        "precision": 2 / 3,
        "recall": 1.0,
        "f1": 0.8,
    }
    assert evaluation.classes["moss"] == {
        "examples": 0,
        "predicted": 1,
        "correct": 0,
        "precision": 0.0,
        "recall": None,
        "f1": 0.0,
    }


def test_the_table_is_short_and_says_what_was_cut(head_evaluation):
    assert str(fixed_evaluation(head_evaluation)).splitlines() == [
        "class   examples  predicted    correct  precision     recall         f1",
        "herb           3          1          1      1.000      0.333      0.500",
        "fruit          2          3          2      0.667      1.000      0.800",
        "moss           0          1          0      0.000          -      0.000",
        "",
        "accuracy 60.0% (3 of 5)",
        "1 texts were longer than 12 tokens and were cut",
    ]


def test_the_files_hold_all_of_it(head_evaluation, head_adapter, tmp_path):
    write_evaluation(tmp_path / "out", fixed_evaluation(head_evaluation), head_adapter)
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["accuracy"] == 0.6
    assert values["method"] == "bitfit"
    assert values["model_sha256"] == "ab" * 32
    assert values["dataset_sha256"] == DATA.sha256
    assert values["formulation"]["pooling"] == "last"
    assert values["confusion"]["labels"] == ["herb", "fruit", "moss"]
    assert values["confusion"]["counts"][0] == [1, 1, 1]
    assert values["truncated"] == 1
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 5
    assert json.loads(lines[3]) == {
        "index": 3,
        "text_sha256": hashlib.sha256(TEST[3].text.encode()).hexdigest(),
        "label": "herb",
        "prediction": "moss",
        "probabilities": {"fruit": 0.1, "herb": 0.1, "moss": 0.8},
    }


def template_adapter(llama, directory, method):
    words = Verbalizer.from_mapping(("fruit", "herb"), {"fruit": ["apple", "pear"]})
    formulation = TemplateFormulation(
        llama, ("fruit", "herb"), Template("{text} Kind:"), words, max_length=9
    )
    leaves = leaves_of(llama, method, llama.params)
    save_adapter(directory, leaves, method, llama, describe_formulation(formulation))
    return formulation


def test_a_template_comes_back_as_it_was(llama, tmp_path):
    formulation = template_adapter(llama, tmp_path, LoRA(rank=2))
    evaluation = evaluate_adapter(llama, tmp_path, DATA)
    assert describe_formulation(evaluation.formulation) == describe_formulation(formulation)
    assert evaluation.formulation.template.text == "{text} Kind:"


def test_a_soft_prompt_after_the_text_is_asked_as_it_was_trained(llama, tmp_path):
    formulation = template_adapter(llama, tmp_path, PromptTuning(3, position="suffix"))
    evaluation = evaluate_adapter(llama, tmp_path, DATA)
    batch = encode(formulation, TEST).arrays
    expected = jax.jit(formulation.logits)(evaluation.adapter.params, batch)
    np.testing.assert_allclose(evaluation.logits, expected, rtol=1e-4, atol=1e-5)
    without = jax.jit(formulation.logits)(llama.params, batch)
    assert not np.allclose(evaluation.logits, without, atol=1e-2)


def test_an_adapter_of_pefts_is_asked_through_a_template(llama, tmp_path):
    template_adapter(llama, tmp_path, LoRA(rank=2))
    (tmp_path / RECORD).unlink()
    default = evaluate_adapter(llama, tmp_path, DATA).formulation
    assert default.template == Template()
    assert default.labels == DATA.labels
    given = evaluate_adapter(
        llama, tmp_path, DATA, template="{text} Kind:", verbalizer={"fruit": "apple"}
    ).formulation
    assert (given.template.text, given.verbalizer.words) == (
        "{text} Kind:",
        ((" apple",), (" herb",)),
    )


def test_an_encoder_s_adapter_of_pefts_has_no_head(bert, tmp_path):
    save_adapter(tmp_path, leaves_of(bert, LoRA(rank=2), bert.params), LoRA(rank=2), bert, {})
    (tmp_path / RECORD).unlink()
    with pytest.raises(InputError, match="tiny that PEFT made has no head"):
        evaluate_adapter(bert, tmp_path, DATA)


def test_labels_that_the_adapter_does_not_know_are_listed(bert, head_adapter):
    data = Dataset("woods", (), (), tuple(TEST), ("fern", "fruit", "herb", "tree"))
    with pytest.raises(InputError) as error:
        evaluate_adapter(bert, head_adapter, data)
    assert "labels 'herb', 'fruit', 'moss'. woods has labels" in str(error.value)
    assert str(error.value).splitlines()[1:] == ["  - 'fern'", "  - 'tree'"]


def test_a_template_for_an_adapter_that_brings_its_own_is_refused(bert, head_adapter):
    with pytest.raises(InputError, match="brings the template"):
        evaluate_adapter(bert, head_adapter, DATA, template="{text}:")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(("fruit", "herb"), r"head/kernel is of shape \[8, 3\], expected \[8, 2\]")],
)
def test_a_head_for_other_labels_is_refused(bert, tmp_path, labels, message):
    formulation = HeadFormulation(bert, ("fruit", "herb", "moss"))
    prepared = formulation.prepare(bert.params, jax.random.key(0))
    description = describe_formulation(formulation) | {"labels": list(labels)}
    save_adapter(tmp_path, leaves_of(bert, BitFit(), prepared), BitFit(), bert, description)
    with pytest.raises(InputError, match=message):
        evaluate_adapter(bert, tmp_path, DATA)


def test_an_adapter_without_the_head_that_its_description_needs_is_refused(bert, tmp_path):
    formulation = HeadFormulation(bert, ("fruit", "herb"))
    leaves = leaves_of(bert, BitFit(), bert.params)
    save_adapter(tmp_path, leaves, BitFit(), bert, describe_formulation(formulation))
    with pytest.raises(InputError, match=r"head/kernel is missing, expected \[8, 2\]"):
        evaluate_adapter(bert, tmp_path, DATA)


def test_logits_that_are_no_numbers_are_refused(bert, tmp_path):
    formulation = HeadFormulation(bert, ("fruit", "herb"))
    prepared = formulation.prepare(bert.params, jax.random.key(0))
    leaves = flatten(leaves_of(bert, BitFit(), prepared))
    leaves["head/bias"] = jnp.array([0.0, jnp.nan])
    description = describe_formulation(formulation)
    save_adapter(tmp_path, unflatten(leaves), BitFit(), bert, description)
    with pytest.raises(InputError, match="for 5 of 5 texts the class logits are not numbers"):
        evaluate_adapter(bert, tmp_path, DATA)


def test_a_batch_of_nothing_is_refused(bert, head_adapter):
    with pytest.raises(InputError, match="batch_size is 0"):
        evaluate_adapter(bert, head_adapter, DATA, batch_size=0)

"""Saved adapters give the logits that they gave in training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.files.adapter_layout import RECORD
from fsl_jax.adapt.methods.lora import LoRA
from fsl_jax.adapt.methods.prompt_tuning import PromptTuning
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.data.examples import Dataset
from fsl_jax.errors import InputError
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.formulations.template import Template
from fsl_jax.formulations.template_formulation import TemplateFormulation
from fsl_jax.formulations.verbalizer import Verbalizer
from fsl_jax.studies.evaluation.evaluate import evaluate_adapter
from fsl_jax.training.predictor import Predictor
from fsl_jax.training.stacked_runs import stack_padded, stack_runs


@pytest.fixture
def template_adapter(llama, leaves_of):
    """Saves an adapter for a template and returns its formulation."""

    def save(directory, method):
        words = Verbalizer.from_mapping(("fruit", "herb"), {"fruit": ["apple", "pear"]})
        formulation = TemplateFormulation(
            llama, ("fruit", "herb"), Template("{text} Kind:"), words, max_length=9
        )
        leaves = leaves_of(llama, method, llama.params)
        save_adapter(directory, leaves, method, llama, formulation.describe())
        return formulation

    return save


def batch_of(formulation, examples):
    """One example a row."""
    tokens = formulation.tokenize(examples).tokens
    return unpacked_batch(formulation.segments(formulation.pretrained.params, tokens))


def test_logits_are_those_of_the_formulation_on_the_adapted_model(head_evaluation, garden):
    formulation, adapter = head_evaluation.formulation, head_evaluation.adapter
    assert formulation.labels == ("herb", "fruit", "moss")
    assert (formulation.pooling, formulation.limit) == ("last", 12)
    expected = jax.jit(formulation.outputs)(adapter.params, batch_of(formulation, garden.test))
    np.testing.assert_allclose(head_evaluation.logits, expected, rtol=1e-4, atol=1e-5)


def test_an_adapter_gives_what_its_run_gave_among_others_in_a_program(bert, tmp_path, garden):
    formulation = HeadFormulation(bert, ("fruit", "herb"))
    methods = [LoRA(rank=2), LoRA(rank=3, alpha=4.0)]
    stack = stack_runs(formulation, bert.params, methods, seeds=[1, 2])
    runs = [_moved(stack.run_leaves(stack.trainable, run), run) for run in range(2)]
    padded = flatten(stack_padded(runs))
    trained = unflatten({path: padded.get(path) for path in flatten(stack.trainable)})
    models = dataclasses.replace(stack.models, trainable=trained)
    together = Predictor(formulation, models).predict(garden.test).outputs
    assert not np.allclose(together[0], together[1], atol=1e-2)
    for run, method in enumerate(methods):
        description = formulation.describe()
        save_adapter(tmp_path, stack.run_leaves(trained, run), method, bert, description)
        found = evaluate_adapter(bert, tmp_path, garden).logits
        np.testing.assert_allclose(found, together[run], rtol=1e-4, atol=1e-5)


def _moved(leaves, seed):
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + jnp.asarray(random.normal(size=x.shape), x.dtype), leaves)


def test_a_template_comes_back_as_it_was(llama, tmp_path, garden, template_adapter):
    formulation = template_adapter(tmp_path, LoRA(rank=2))
    evaluation = evaluate_adapter(llama, tmp_path, garden)
    assert evaluation.formulation.describe() == formulation.describe()
    assert evaluation.formulation.template.text == "{text} Kind:"


def test_a_soft_prompt_after_the_text_is_asked_as_it_was_trained(
    llama, tmp_path, garden, template_adapter
):
    formulation = template_adapter(tmp_path, PromptTuning(3, position="suffix"))
    evaluation = evaluate_adapter(llama, tmp_path, garden)
    batch = batch_of(formulation, garden.test)
    expected = jax.jit(formulation.outputs)(evaluation.adapter.params, batch)
    np.testing.assert_allclose(evaluation.logits, expected, rtol=1e-4, atol=1e-5)
    without = jax.jit(formulation.outputs)(llama.params, batch)
    assert not np.allclose(evaluation.logits, without, atol=1e-2)


def test_an_adapter_of_pefts_is_asked_through_a_template(llama, tmp_path, garden, template_adapter):
    template_adapter(tmp_path, LoRA(rank=2))
    (tmp_path / RECORD).unlink()
    default = evaluate_adapter(llama, tmp_path, garden).formulation
    assert default.template == Template()
    assert default.labels == garden.labels
    given = evaluate_adapter(
        llama, tmp_path, garden, template="{text} Kind:", verbalizer={"fruit": "apple"}
    ).formulation
    assert (given.template.text, given.verbalizer.words) == (
        "{text} Kind:",
        ((" apple",), (" herb",)),
    )


def test_a_verbalizer_names_the_classes_that_the_data_lack(
    llama, tmp_path, garden, template_adapter
):
    template_adapter(tmp_path, LoRA(rank=2))
    (tmp_path / RECORD).unlink()
    fruit = Dataset("fruit", (), (), garden.test[:2], ("fruit",))
    with pytest.raises(InputError, match=r"fruit has only the label .*give a verbalizer"):
        evaluate_adapter(llama, tmp_path, fruit)
    words = {"herb": "bean", "fruit": "apple"}
    evaluation = evaluate_adapter(llama, tmp_path, fruit, verbalizer=words)
    assert evaluation.formulation.labels == ("fruit", "herb")
    assert set(evaluation.predictions[0].probabilities) == {"fruit", "herb"}


def test_data_may_lack_a_class_of_the_adapter(bert, head_adapter, garden):
    fruit = Dataset("fruit", (), (), garden.test[:2], ("fruit",))
    evaluation = evaluate_adapter(bert, head_adapter, fruit)
    assert {each.answer for each in evaluation.examples} == {"fruit"}
    assert set(evaluation.predictions[0].probabilities) == {"herb", "fruit", "moss"}
    assert "accuracy " in str(evaluation)


def test_an_encoder_s_adapter_of_pefts_has_no_head(bert, tmp_path, garden, leaves_of):
    save_adapter(tmp_path, leaves_of(bert, LoRA(rank=2), bert.params), LoRA(rank=2), bert, {})
    (tmp_path / RECORD).unlink()
    with pytest.raises(InputError, match="tiny that PEFT made has no head"):
        evaluate_adapter(bert, tmp_path, garden)


def test_a_template_for_an_adapter_that_brings_its_own_is_refused(bert, head_adapter, garden):
    with pytest.raises(InputError, match="brings the template"):
        evaluate_adapter(bert, head_adapter, garden, template="{text}:")


def test_a_batch_of_nothing_is_refused(bert, head_adapter, garden):
    with pytest.raises(InputError, match="batch_tokens is 0"):
        evaluate_adapter(bert, head_adapter, garden, batch_tokens=0)


def test_a_batch_larger_than_the_data_takes_no_more_memory(bert, head_adapter, garden):
    expected = evaluate_adapter(bert, head_adapter, garden).logits
    found = evaluate_adapter(bert, head_adapter, garden, batch_tokens=2**40).logits
    np.testing.assert_array_equal(found, expected)

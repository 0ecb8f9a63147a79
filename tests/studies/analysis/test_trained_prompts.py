import dataclasses

import numpy as np
import pytest

from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.data.splits import test_subset as subset_of_test
from fsl_jax.errors import InputError
from fsl_jax.studies.analysis.trained_prompts import accuracies_without, train_prompts
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.training.predictor import Predictor

METHODS = "prompt_tuning(length=3),prompt_tuning(length=2, start='labels')"


def study_config(**changes):
    given = {"models": ("tiny",), "dataset": "tiny", "methods": METHODS, "seeds": (1, 2)}
    given |= {"shots": 2, "steps": "4", "batch_size": "4", "evaluate_every": 2}
    return StudyConfig(**given | {"learning_rates": "0.05"} | changes)


@pytest.fixture(scope="module")
def trained(tiny_bases, tiny_dataset):
    return train_prompts(study_config(), tiny_bases["llama"], tiny_dataset)


@pytest.fixture(scope="module")
def examples(tiny_dataset):
    return subset_of_test(tiny_dataset, None)


def test_prompts_are_kept_after_every_step_and_padded_with_zeros(trained, tiny_bases):
    assert trained.steps == (0, 1, 2, 3, 4)
    assert trained.prompts.shape == (5, 4, 3, 16)
    assert trained.starts == ("vocabulary", "vocabulary", "labels", "labels")
    assert trained.seeds == (1, 2, 1, 2)
    assert trained.losses.shape == (4, 4)
    table = np.asarray(tiny_bases["llama"].params["embeddings"]["word"]["embedding"])
    # The label words are tokens 4 and 5.
    np.testing.assert_array_equal(trained.prompts[0, 2:, :2], np.stack([table[4:6]] * 2))
    assert not trained.prompts[:, 2:, 2].any()
    moved = np.abs(np.diff(trained.prompts[:, :2], axis=0)).max(axis=(1, 2, 3))
    assert (moved > 0).all()


def test_without_a_position_a_model_is_one_with_a_shorter_prompt(trained, examples):
    found = accuracies_without(trained, examples)
    stack, formulation = trained.prepared.stack, trained.prepared.formulation
    labels = np.array([formulation.labels.index(each.answer) for each in examples])

    def accuracies(cut):
        trainable, settings = (
            unflatten({path: leaf if leaf is None else cut(leaf) for path, leaf in tree})
            for tree in (flatten(trained.last).items(), flatten(stack.frozen_leaves).items())
        )
        models = dataclasses.replace(stack.models, trainable=trainable, frozen_leaves=settings)
        logits = Predictor(formulation, models).predict(examples).outputs
        return (logits.argmax(-1) == labels[None]).mean(1)

    same = np.testing.assert_array_equal
    same(found.whole, accuracies(lambda leaf: leaf))
    for position in (0, 1):
        shorter = accuracies(lambda leaf, gone=position: np.delete(leaf, gone, axis=1))
        same(found.without[:, position], shorter)
    same(found.none, accuracies(lambda leaf: leaf[:, :0]))
    same(np.isnan(found.without), [[False, False, False]] * 2 + [[False, False, True]] * 2)
    assert len(np.unique(found.without[:, 0] - found.whole)) > 1


def test_runs_of_other_methods_or_of_two_programs_are_refused(tiny_bases, tiny_dataset):
    suffix = {"methods": "prompt_tuning(position='suffix')"}
    for changes in ({"methods": "lora"}, {"models": ("tiny", "other")}, suffix):
        with pytest.raises(InputError, match="one program"):
            train_prompts(study_config(**changes), tiny_bases["llama"], tiny_dataset)

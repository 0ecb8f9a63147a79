"""Tiny models, a data set of five texts, and adapters for them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.methods.bitfit import BitFit
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.data.examples import Dataset, text_example
from fsl_jax.formulations.heads.head import HeadFormulation
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import module_of, parameter_shapes
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.evaluation.evaluate import evaluate_adapter
from fsl_jax.studies.evaluation.evaluation import Evaluation

WORDS = ["[PAD]", "[UNK]", "Kind", "Topic", ":", "apple", "pear", "bean", "leek", "fruit", "herb"]
TEST = [
    text_example("apple", "fruit"),
    text_example("pear apple pear", "fruit"),
    text_example("bean", "herb"),
    text_example("leek leek bean " * 6, "herb"),
    text_example("apple leek", "herb"),
]


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


@pytest.fixture(scope="session")
def garden():
    """A data set of five test examples in two classes."""
    return Dataset("garden", (), (), tuple(TEST), ("fruit", "herb"))


@pytest.fixture(scope="session")
def leaves_of():
    """Makes random trainable leaves of a method and a head."""

    def make(pretrained, method, prepared):
        extended = flatten(jax.eval_shape(method.extend, prepared, jax.random.key(0)))
        rules = "|".join((*method.rules, "^head/"))
        shapes = {path: leaf.shape for path, leaf in extended.items() if re.search(rules, path)}
        return unflatten(random_leaves(shapes))

    return make


@pytest.fixture(scope="module")
def head_adapter(bert, tmp_path_factory, leaves_of):
    """A directory with a BitFit adapter with a head, whose labels are not sorted."""
    directory = tmp_path_factory.mktemp("adapters") / "head"
    formulation = HeadFormulation(bert, ("herb", "fruit", "moss"), "last", max_length=12)
    prepared = formulation.prepare(bert.params, jax.random.key(0))
    leaves = leaves_of(bert, BitFit(), prepared)
    save_adapter(directory, leaves, BitFit(), bert, formulation.describe())
    return directory


@pytest.fixture(scope="module")
def head_evaluation(bert, head_adapter, garden):
    return evaluate_adapter(bert, head_adapter, garden, batch_tokens=64)


@pytest.fixture
def fixed_evaluation(head_evaluation, garden):
    """Predictions as they are wanted: herb, fruit, moss for the classes 0, 1, 2."""
    predicted = np.array([1, 1, 0, 2, 1])
    logits = np.log(np.where(np.arange(3) == predicted[:, None], 0.8, 0.1)).astype(np.float32)
    return Evaluation(
        head_evaluation.adapter,
        head_evaluation.formulation,
        garden,
        garden.test,
        tuple(np.array(head_evaluation.formulation.labels)[predicted].tolist()),
        logits,
        head_evaluation.truncated,
    )

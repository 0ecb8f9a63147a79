"""Tiny models and texts for both sides of a benchmark."""

import jax
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from fsl_jax.data.examples import TEXT, Dataset, Example, text_example
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.tasks.parts.marked_entities import HEAD_MARK, TAIL_MARK

WORDS = ["[PAD]", "[UNK]", "sport", "politics", "Topic", ":", "#", "@"]
WORDS += [f"w{n:09}" for n in range(38)]
CONFIGS = {
    "bert": BertConfig(
        vocab_size=len(WORDS), hidden_size=16, mlp_size=32, num_layers=2, num_heads=2, max_length=20
    ),
    "llama": LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        mlp_size=32,
        num_layers=2,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        max_length=16,
    ),
}


@pytest.fixture(scope="session")
def tokenizer():
    model = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    model.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="session")
def tiny(tokenizer):
    """Make the tiny model of a family, `bert` or `llama`, with random biases too."""

    def make(family):
        config = CONFIGS[family]
        params = jax.jit(lambda: initialise(config, jax.random.key(0)))()
        noise = jax.random.split(jax.random.key(1), len(jax.tree.leaves(params)))
        leaves, structure = jax.tree.flatten(params)
        pairs = zip(leaves, noise, strict=True)
        params = structure.unflatten([x + 0.3 * jax.random.normal(k, x.shape) for x, k in pairs])
        return Pretrained("tiny", config, module_of(config), params, tokenizer, "0" * 64)

    return make


def _dataset(lengths):
    """Six texts of each class for training, and for testing; their lengths are drawn."""
    generator = np.random.default_rng(0)

    def texts():
        return tuple(
            text_example(
                " ".join(WORDS[n] for n in generator.integers(6, len(WORDS), words)), label
            )
            for label in ("politics", "sport")
            for words in generator.integers(*lengths, 6)
        )

    return Dataset("words", texts(), (), texts(), ("politics", "sport"), 0)


@pytest.fixture(scope="session")
def long_texts():
    """Texts of more words than fill a row."""
    return _dataset((40, 41))


@pytest.fixture(scope="session")
def short_texts():
    """Texts of 2 to 9 words."""
    return _dataset((2, 10))


def _of_task(task, labels, example_of):
    """The short texts with answers of another task: `example_of(words, number)` makes each."""
    generator = np.random.default_rng(1)

    def examples():
        return tuple(
            example_of([WORDS[n] for n in generator.integers(8, len(WORDS), words)], number)
            for number, words in enumerate(generator.integers(3, 9, 12))
        )

    return Dataset(task, examples(), (), examples(), labels, task=task)


@pytest.fixture(scope="session")
def tagged_texts():
    """Texts of 3 to 8 words, of which the first two are an entity of one of two types."""

    def example_of(words, number):
        kind = ("place", "person")[number % 2]
        tags = (f"B-{kind}", f"I-{kind}", *["O"] * (len(words) - 2))
        return text_example(" ".join(words), tags)

    return _of_task("tagging", ("person", "place"), example_of)


@pytest.fixture(scope="session")
def related_texts():
    """Texts of 3 to 8 words, of which the first and the last are in one of two relations."""

    def example_of(words, number):
        marks = {"head": words[0], "tail": words[-1]}
        text = " ".join([HEAD_MARK, words[0], HEAD_MARK, *words[1:-1], TAIL_MARK, words[-1]])
        relation = ("child", "parent")[number % 2]
        return Example({TEXT: f"{text} {TAIL_MARK}", **marks}, relation)

    return _of_task("relation", ("child", "parent"), example_of)

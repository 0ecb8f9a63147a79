"""Tiny models and texts for both sides of a benchmark."""

import jax
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from fsl_jax.data.examples import Dataset, text_example
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.registry import initialise, module_of
from fsl_jax.models.pretrained import Pretrained

WORDS = ["[PAD]", "[UNK]", "sport", "politics", "Topic", ":", *(f"w{n:09}" for n in range(40))]
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

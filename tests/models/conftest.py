"""Tiny models of each family, and a tokenizer for directories that tests save."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from fsl_jax.models.bert import BertConfig
from fsl_jax.models.families import initialise, module_of
from fsl_jax.models.llama import LlamaConfig
from fsl_jax.models.pretrained import Pretrained

TINY = {
    "bert": BertConfig(
        vocab_size=40, hidden_size=32, mlp_size=48, num_layers=3, num_heads=4, max_length=24
    ),
    "llama": LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        mlp_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        max_length=24,
    ),
    "llama-untied": LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        mlp_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=4,
        head_dim=16,
        max_length=24,
        tied=False,
    ),
}


@pytest.fixture(scope="session")
def word_tokenizer():
    """Forty words, of which the first two have a role."""
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *map(str, range(38))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def build(config, tokenizer):
    """A model whose every leaf is random, biases and norms too."""
    shapes = jax.eval_shape(lambda: initialise(config, jax.random.key(0)))
    draw = np.random.default_rng(0).standard_normal
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.asarray(
            0.2 * draw(leaf.shape) + (path[-1].key == "scale"), jnp.float32
        ),
        shapes,
    )
    return Pretrained("tiny", config, module_of(config), params, tokenizer, "0" * 64)


@pytest.fixture(scope="session")
def tiny_models(word_tokenizer):
    """The tiny models by name."""
    return {name: build(config, word_tokenizer) for name, config in TINY.items()}


@pytest.fixture(params=["bert", "llama"])
def tiny(request, tiny_models):
    """A tiny model of each family."""
    return tiny_models[request.param]


@pytest.fixture
def tiny_bert(tiny_models):
    """The tiny encoder."""
    return tiny_models["bert"]


@pytest.fixture
def tiny_llama(tiny_models):
    """The tiny decoder."""
    return tiny_models["llama"]


@pytest.fixture
def tokens():
    """Tokens `[3, 7]` and their mask, right-padded, of lengths 7, 4 and 1."""
    ids = np.random.default_rng(0).integers(2, 40, (3, 7), dtype=np.int32)
    mask = np.arange(7)[None, :] < np.array([7, 4, 1])[:, None]
    return np.where(mask, ids, 0).astype(np.int32), mask

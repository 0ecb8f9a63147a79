"""Tiny models of both families, with random weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsl_jax.adapt import attach, parse_method, save_adapter
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.models.families.bert.model import BertConfig
from fsl_jax.models.families.gpt2.model import GPT2Config
from fsl_jax.models.families.llama.model import LlamaConfig
from fsl_jax.models.families.t5.config import T5Config

CONFIGS = {
    "bert": BertConfig(
        vocab_size=50,
        hidden_size=16,
        mlp_size=32,
        num_layers=3,
        num_heads=2,
        max_length=16,
        has_pooler=True,
    ),
    "llama": LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        mlp_size=32,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        max_length=16,
    ),
    "gpt2": GPT2Config(
        vocab_size=50, hidden_size=16, mlp_size=32, num_layers=3, num_heads=2, max_length=16
    ),
    "t5": T5Config(
        vocab_size=50,
        hidden_size=16,
        mlp_size=32,
        num_layers=2,
        num_decoder_layers=3,
        num_heads=2,
        head_dim=4,
        num_buckets=8,
        max_distance=12,
    ),
}


@pytest.fixture(scope="session")
def tiny(build_tiny):
    """Makes the tiny model of a family once."""
    return functools.cache(lambda family: build_tiny(CONFIGS[family], scale=0.3))


@pytest.fixture
def save_moved(move):
    """Saves an adapter that does something, beside a task's head if one is wanted."""

    def save(directory, base, text, head=False, description=None):
        method = parse_method(text)
        params = base.params | ({"head": {"kernel": jnp.ones((16, 3))}} if head else {})
        params, mask = attach(params, method, jax.random.key(0))
        moved = flatten(move(params, mask))
        trained = {path: moved[path] for path, chosen in flatten(mask).items() if chosen}
        save_adapter(directory, method.finish(unflatten(trained)), method, base, description or {})

    return save


@pytest.fixture
def bert(tiny):
    return tiny("bert")


@pytest.fixture
def llama(tiny):
    return tiny("llama")


@pytest.fixture(scope="session")
def hidden():
    """The hidden states of a model for two texts, one of them padded."""
    ids = np.arange(10, dtype=np.int32).reshape(2, 5)
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])

    @functools.partial(jax.jit, static_argnums=0)
    def of(pretrained, params):
        return pretrained.apply(params, ids, mask, unembed=False).hidden

    return of

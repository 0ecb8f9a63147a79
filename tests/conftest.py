"""Strict settings for every test, and tiny models and programs for the tests of several floors."""

import contextlib
import copy
import dataclasses
import functools
import os
import socket
from typing import Any

os.environ["JAX_PLATFORMS"] = "cpu"
# Compiling is what tests cost: machine code is made fast rather than well.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"
)
os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import install_import_hook

install_import_hook("fsl_jax", "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_threefry_partitionable", True)

# The same examples in every run, however slow the machine is.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

LOCAL = ("127.0.0.1", "::1", "localhost")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Connections that leave this machine fail; tests with two processes need loopback."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="module")
def quick_compilation():
    """Programs are compiled fast rather than well: compiling is what their tests cost."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def compilations():
    """A context in which the names of all functions that XLA compiles are listed."""

    @contextlib.contextmanager
    def counting():
        names = []

        def listen(event, seconds, **details):
            if event == "/jax/core/compile/backend_compile_duration":
                names.append(details.get("fun_name"))

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield names
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)

    return counting


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a tiny program."""

    method: Any
    seed: int = 13
    learning_rate: float = 1e-2
    weight_decay: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What a tiny program trains on, and how to compile it and to carry it out.

    `arrays` are all examples; `cached` says whether the trunk is kept where a method allows it.
    """

    formulation: Any
    fit_config: Any
    trials: tuple[Trial, ...]
    stack: Any
    runs: Any
    arrays: dict[str, np.ndarray]
    cached: bool = True

    def alone(self, number):
        """The same with one of the runs, whose leaves are drawn and stacked without the others."""
        stack = _stack(self.formulation, self.trials[number : number + 1], self.arrays)
        runs = jax.tree.map(lambda leaf: leaf[number : number + 1], self.runs)
        return dataclasses.replace(
            self,
            trials=self.trials[number : number + 1],
            stack=stack,
            runs=dataclasses.replace(
                runs, frozen_leaves=stack.frozen_leaves, rate_factors=stack.rate_factors
            ),
        )

    @functools.cached_property
    def pool(self):
        """The examples on the device, with what is kept of each."""
        from fsl_jax.training.caching import cache_trunk

        if not self.cached:
            return jax.tree.map(jnp.asarray, self.arrays)
        return cache_trunk(
            self.formulation, self.stack.shared, self.stack.mask, self.arrays, chunk=4
        )

    def compile(self, size=None, mesh=None):
        """The program for so many runs at once; for all of them unless a size is given."""
        from fsl_jax.training.program import compile_program

        return compile_program(
            self.formulation,
            self.stack.method,
            self.fit_config,
            size or len(self.trials),
            self.stack.trainable,
            self.runs,
            self.stack.shared,
            self.pool,
            mesh,
        )

    def place(self, program, first=0):
        """The state before the first step, and what `fit` takes beside it, of a group of runs."""
        from fsl_jax.training.program import place_shared

        count = min(program.size, len(self.trials) - first)
        trainable, runs = jax.tree.map(
            lambda leaf: leaf[first : first + count], (self.stack.trainable, self.runs)
        )
        state, runs = program.place(trainable, runs, count, self.fit_config)
        return state, (runs, *place_shared(self.stack.shared, self.pool, program.mesh))

    def fit(self, program, first=0):
        """The last state of a group of runs, which begins with the run `first`."""
        from fsl_jax.training.loop import fit

        state, inputs = self.place(program, first)
        return jax.device_get(fit(program, state, *inputs, self.fit_config, lambda *_: None))


def _stack(formulation, trials, arrays):
    from fsl_jax.training.stack import stack_runs

    batch = {name: jnp.asarray(array[:1]) for name, array in arrays.items()}
    return stack_runs(
        formulation,
        formulation.pretrained.params,
        [trial.method for trial in trials],
        [trial.seed for trial in trials],
        lambda params: formulation.logits(params, batch),
    )


@pytest.fixture(scope="session")
def tiny_dataset():
    """Texts of three classes, of which each has favourite words; some texts are long."""
    from fsl_jax.data import make_dataset
    from fsl_jax.data.examples import Example

    random = np.random.default_rng(0)
    examples = [
        Example(" ".join(f"w{random.integers(12) + 4 * index}" for _ in range(length)), label)
        for index, label in enumerate(("east", "north", "west"))
        for length in (4, 5, 6, 7, 8, 9, 10, 20)
    ]
    return make_dataset("tiny", examples)


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """One token a word; the label words of `tiny_formulations` are among them."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "Topic", ":", "east", "north", "west", "far", "very", "."]
    words += [f"w{number}" for number in range(64 - len(words))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


@pytest.fixture(scope="session")
def tiny_bases(tiny_tokenizer):
    """A tiny model of each kind of layers, every leaf of which is random.

    The one of Gemma 2 has a sliding window on its first layer.
    """
    from fsl_jax.adapt.tree import unflatten
    from fsl_jax.models.families.bert.model import BertConfig
    from fsl_jax.models.families.gpt2.model import GPT2Config
    from fsl_jax.models.families.llama.model import LlamaConfig
    from fsl_jax.models.families.registry import module_of, parameter_shapes
    from fsl_jax.models.families.t5.layers import T5Config
    from fsl_jax.models.pretrained import Pretrained

    sizes = {"vocab_size": 64, "hidden_size": 16, "mlp_size": 40, "num_layers": 2, "num_heads": 4}
    configs = [
        BertConfig(**sizes, max_length=32, has_pooler=True),
        LlamaConfig(**sizes, max_length=32, num_kv_heads=2, head_dim=4),
        GPT2Config(**sizes, max_length=32),
        LlamaConfig(
            **sizes,
            max_length=32,
            num_kv_heads=2,
            head_dim=4,
            window=6,
            sliding=(True, False),
            post_norms=True,
            norm_offset=1.0,
            activation="tanh_gelu",
            embedding_scale=4.0,
            score_cap=20.0,
            logit_cap=10.0,
            family="gemma2",
        ),
        T5Config(
            **sizes,
            max_length=32,
            num_decoder_layers=3,
            head_dim=4,
            feed_forward="gated-gelu",
            num_buckets=8,
            max_distance=16,
        ),
    ]

    def build(config):
        # Drawn by NumPy, which compiles nothing.
        random = np.random.default_rng(1)
        center = 1 - getattr(config, "norm_offset", 0)
        params = unflatten(
            {
                path: jnp.asarray(
                    random.normal(size=shape, scale=0.2) + center * path.endswith("/scale"),
                    jnp.float32,
                )
                for path, shape in parameter_shapes(config).items()
            }
        )
        name = f"tiny-{config.family}"
        return Pretrained(name, config, module_of(config), params, tiny_tokenizer, "ab" * 32)

    return {config.family: build(config) for config in configs}


@pytest.fixture(scope="session")
def move():
    """Moves every trained leaf of a tree, so that no adapter starts out as nothing."""

    def make(params, mask, seed=0, scale=0.2):
        random = np.random.default_rng(seed)

        def moved(leaf, trained):
            if not trained:
                return leaf
            return leaf + random.normal(size=leaf.shape, scale=scale).astype(np.float32)

        return jax.tree.map(moved, params, mask)

    return make


@pytest.fixture(scope="session")
def adapted(move):
    """Makes the tree that a model reads under a method, every trained leaf of which was moved."""
    from fsl_jax.adapt import attach, parse_method

    def make(base, text, seed=0, scale=0.2):
        method = parse_method(text)
        params, mask = attach(base.params, method, jax.random.key(seed))
        return method.reparametrize(move(params, mask, seed, scale))

    return make


@pytest.fixture(scope="session")
def adapted_by_peft():
    """Makes a model of PEFT's out of one of transformers, every trained parameter moved."""
    import peft
    import torch

    def make(model, config, scale=0.3):
        torch.manual_seed(0)
        # PEFT writes the base model's name into a config, which may be made a model of twice.
        model = peft.get_peft_model(model, copy.deepcopy(config)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(scale * torch.randn(parameter.shape))
        return model

    return make


@pytest.fixture(scope="session")
def tiny_formulations(tiny_bases, tiny_dataset):
    """Every way of asking a tiny model; label words of one token, or of one to three."""
    from fsl_jax.tasks import HeadFormulation, Template, TemplateFormulation, Verbalizer

    labels = tiny_dataset.labels
    longer = {"east": ["far east", "east"], "west": "very far west"}

    def template(words, family="llama"):
        verbalizer = Verbalizer.from_mapping(labels, words)
        return TemplateFormulation(
            tiny_bases[family], labels, Template("{text} . Topic :"), verbalizer
        )

    return {
        "bert-head": HeadFormulation(tiny_bases["bert"], labels),
        "llama-head": HeadFormulation(tiny_bases["llama"], labels),
        "llama-template": template({}),
        "llama-words": template(longer),
        "gpt2-template": template({}, "gpt2"),
        "gemma2-template": template({}, "gemma2"),
        "t5-head": HeadFormulation(tiny_bases["t5"], labels),
        "t5-words": template(longer | {"north": "very north"}, "t5"),
    }


@pytest.fixture(scope="session")
def tiny_problem(tiny_formulations, tiny_dataset):
    """Makes the problem of trials with a formulation, which may be named."""
    from fsl_jax.data import batch_order, few_shot_split
    from fsl_jax.tasks import encode
    from fsl_jax.training.fit_config import FitConfig
    from fsl_jax.training.stack import run_key
    from fsl_jax.training.state import Runs

    def make(formulation, trials, cached=True, **settings):
        formulation = tiny_formulations.get(formulation, formulation)
        if reserved := max(trial.method.positions for trial in trials):
            formulation = dataclasses.replace(formulation, reserved_positions=reserved)
        config = FitConfig(**{"steps": 20, "batch_size": 4, "evaluate_every": 5} | settings)
        splits = [few_shot_split(tiny_dataset, 2, trial.seed) for trial in trials]
        examples = [each for split in splits for each in (*split.train, *split.validation)]
        rows = {example: row for row, example in enumerate(dict.fromkeys(examples))}
        arrays = encode(formulation, list(rows)).arrays
        stack = _stack(formulation, trials, arrays)

        def order(split):
            places = batch_order(split.seed, len(split.train), config.batch_size, config.steps)
            return np.array([rows[each] for each in split.train], np.int32)[places]

        # Six examples in two chunks of four: the last two are fillers.
        validation = [[rows[each] for each in (*s.validation, *s.validation[:2])] for s in splits]
        weight = np.tile(np.float32([[1, 1, 1, 1], [1, 1, 0, 0]]), (len(trials), 1, 1))
        runs = Runs(
            frozen_leaves=stack.frozen_leaves,
            learning_rate=jnp.array([trial.learning_rate for trial in trials], jnp.float32),
            weight_decay=jnp.array([trial.weight_decay for trial in trials], jnp.float32),
            key=jnp.stack([run_key(trial.seed) for trial in trials]),
            order=jnp.asarray(np.stack([order(split) for split in splits])),
            validation=jnp.asarray(np.array(validation, np.int32).reshape(len(trials), 2, 4)),
            weight=jnp.asarray(weight),
            rate_factors=stack.rate_factors,
        )
        return Problem(formulation, config, tuple(trials), stack, runs, arrays, cached)

    return make


@pytest.fixture(scope="session")
def trial():
    """Makes a run of a tiny program: its method, seed, learning rate and weight decay."""
    return Trial

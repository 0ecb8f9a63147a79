"""Strict settings for every test, and what tests of several layers of the code base share."""

import contextlib
import copy
import gc
import os
import socket

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["HF_HUB_OFFLINE"] = "1"

import hypothesis
import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

# Compiling is what tests cost, so machine code is made fast rather than well. XLA's older emitters
# of fusions take a third of the time of its newer ones, and tiny programs do not gain from being
# compiled in parts.
QUICK_COMPILATION = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)
# XLA reads its flags when the devices start, which is later.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + f" --xla_force_host_platform_device_count=8 {QUICK_COMPILATION}"
)

install_import_hook("fsl_jax", "beartype.beartype")

pytest_plugins = ["tiny_models", "tiny_heads", "tiny_programs", "peft_classifiers"]

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_threefry_partitionable", True)

# The same examples in every run, however slow the machine is.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

# Tracing makes many objects that live on; Python would look through all of them again and again.
gc.set_threshold(10_000, 10, 10)

LOCAL = ("127.0.0.1", "::1", "localhost")


def pytest_collection_finish():
    """Let the garbage collector pass over imported objects, which stay to the end."""
    gc.freeze()


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Connections that leave this machine fail; tests with two processes need loopback."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def quick_flags():
    """Flags of XLA by which a process of its own compiles fast rather than well."""
    return QUICK_COMPILATION


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

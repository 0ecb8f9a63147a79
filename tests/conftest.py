"""Strict settings for every test: eight devices, checked shapes, no promotion, no network."""

import os
import socket

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
os.environ["HF_HUB_OFFLINE"] = "1"

import jax
import pytest
from jaxtyping import install_import_hook

install_import_hook("fsl_jax", "beartype.beartype")

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_threefry_partitionable", True)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Connections that leave this machine fail; loopback stays open for tests with two processes."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)

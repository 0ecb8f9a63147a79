"""The environment of a study: versions, devices, threads, and options that change results."""

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("fsl_jax", "jax", "jaxlib", "flax", "optax", "transformers")


def versions() -> dict[str, str]:
    """Return the versions that results depend on.

    Returns:
      The versions of "python" and of each of `PACKAGES`; "not installed" for a package that is used
      from its sources.
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def describe() -> dict[str, Any]:
    """Describe the environment of this process.

    The description is always the same for the same machine and options. Call this after
    `jax.distributed` is started and JAX is configured, since it queries the devices.

    Returns:
      JSON values: "versions"; "platform" (operating system and machine), "processor"; "backend",
      "device_kind", "devices" and "processes" of jax; "threads" that this process may run on;
      "prng" (kind of random keys), "threefry_partitionable", "matmul_precision", "x64" and
      "xla_flags".
    """
    config: Any = jax.config
    return {
        "versions": versions(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "backend": jax.default_backend(),
        "device_kind": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        "threads": _threads(),
        "prng": str(config.jax_default_prng_impl),
        "threefry_partitionable": bool(config.jax_threefry_partitionable),
        "matmul_precision": config.jax_default_matmul_precision or "default",
        "x64": bool(config.jax_enable_x64),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _threads() -> int:
    """Return the number of processors for this process, which sets the size of XLA's pool."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Return the processor's name, which Linux has only in a file."""
    path = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*:\s*(.+)$", path.read_text(), re.M) if path.exists() else None
    return named.group(1) if named else platform.processor() or platform.machine()

"""How programs are compiled, what they need, and where they are kept between invocations."""

import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import psutil
from etils import epath
from jax.experimental.compilation_cache import compilation_cache

from fsl_jax.files import cache_directory


def enable_compilation_cache(directory: epath.PathLike | None = None) -> epath.Path:
    """Keeps every compiled program on disk, so that the next process need not compile it again.

    JAX leaves out programs that compile in less than a second; a study has many of those, so here
    nothing is left out. An entry that cannot be read costs a warning and a compilation.

    Args:
      directory: where to keep them; `compiled` in the cache directory unless given.

    Returns:
      The directory.
    """
    path = cache_directory() / "compiled" if directory is None else epath.Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", os.fspath(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # JAX settles at the first compilation of a process whether there is a cache.
    compilation_cache.reset_cache()
    return path


def target_platform() -> str:
    """The platform that what is traced now will be compiled for.

    Returns:
      "cpu", "gpu" or "tpu": of the mesh that `jax.set_mesh` has set, or else the default one. The
      two differ where a program is compiled for devices that this machine lacks.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    return device.platform if device is not None else jax.default_backend()


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """`jax.jit` with the compiler's options that suit models on the target platform.

    Args:
      function: what is to be compiled.
      **options: further arguments of `jax.jit`.

    Returns:
      The function of `jax.jit`.
    """
    # On a CPU, XLA hands some products and what follows them to a library that takes longer: with
    # its own code a training step of an encoder takes 0.9 times as long (jax 0.10.2, Zen 4).
    chosen = {"xla_cpu_experimental_ynn_fusion_type": ""} if target_platform() == "cpu" else {}
    known = {name: value for name, value in chosen.items() if _is_known(name, value)}
    return jax.jit(function, compiler_options=known, **options)


@functools.cache
def _is_known(option: str, value: str) -> bool:
    # Experimental options come and go with XLA's versions, and there is no list to ask.
    probe = jax.jit(lambda: 0, compiler_options={option: value})
    try:
        probe.lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def peak_memory(compiled: jax.stages.Compiled) -> int:
    """The most memory that a compiled program holds at once on one device, in bytes.

    Arguments and results count; a donated argument and the result in its place count once. On a
    CPU, XLA's own figure of the peak leaves temporaries out: the larger of it and the sum is taken.

    Args:
      compiled: what `jax.jit(f).lower(...).compile()` gives.

    Returns:
      Bytes per device.

    Raises:
      NotImplementedError: the platform does not say.
    """
    memory = compiled.memory_analysis()
    if memory is None:
        raise NotImplementedError("this platform does not say what a compiled program needs")
    held = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
    return max(held, memory.peak_memory_in_bytes)


def device_memory_limit() -> int:
    """The memory that programs can have on one device, in bytes.

    Returns:
      What the first local device says it can hold. A CPU does not say: there it is the memory that
      the machine has free, in equal shares when it is split into several devices.
    """
    devices = jax.local_devices()
    statistics = devices[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return psutil.virtual_memory().available // len(devices)

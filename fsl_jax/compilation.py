"""Compile programs, keep them on disk, and report the memory that they need."""

import functools
import os
import re
from collections.abc import Callable
from typing import Any

import jax
import psutil
from etils import epath
from jax.experimental.compilation_cache import compilation_cache

from fsl_jax.errors import InputError
from fsl_jax.files import usable_cache_directory

FEW_ROWS = 512
"""The most rows of a product for which a CPU is faster with YNNPACK.

XLA's own code is slow if a transposed kernel has few rows to serve, as in the gradient of the
activations of a short step. With YNNPACK, a step of 80 tokens takes 0.73 times as long, one of 256
tokens 0.89 times, and one of 1024 tokens 1.05 times (jax 0.10.2, `minilm-l6`, two cores of an Intel
Xeon). By default, XLA lets YNNPACK also fuse products with the operations after them. That is
slower: without it, a step of 2048 tokens takes 0.9 times as long (Zen 4).
"""

_LIBRARY = "xla_cpu_experimental_ynn_fusion_type"
_SINGLE_PRODUCTS = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"

_UNITS = {"bytes": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SIZE = re.compile(r"([\d.]*\d)\s*([KMGT]|bytes)(?:i?B)?\b")


class DoesNotFitError(InputError):
    """An error for a program that needs more memory than a device has, as the compiler found.

    Attributes:
      needed: the bytes that the compiler named, which may leave out a part; 0 if it named none.
      available: the bytes that a device has; 0 if the compiler did not say.
    """

    def __init__(self, message: str):
        """Read the sizes from the message of the compiler."""
        sizes = [int(float(size) * _UNITS[unit]) for size, unit in _SIZE.findall(message)]
        self.needed, self.available = (*sizes, 0, 0)[:2]
        super().__init__(
            f"a program needs more memory than a device has: {message.splitlines()[0]} Choose "
            "devices with more memory, a smaller batch, shorter texts, or a smaller model"
        )


def enable_compilation_cache(directory: epath.PathLike | None = None) -> epath.Path | None:
    """Keep every compiled program on disk, so that later processes need not compile it again.

    By default JAX does not keep programs that compile in less than a second. A study has many of
    them, so all are kept here. An entry that cannot be read only causes a warning and a
    compilation.

    Args:
      directory: the directory of the programs; by default `compiled` in the cache directory.

    Returns:
      The directory; None if the cache directory cannot be used, so that nothing is kept.
    """
    if directory is None:
        path = usable_cache_directory("compiled")
    else:
        path = epath.Path(directory)
        path.mkdir(parents=True, exist_ok=True)
    if path is None:
        return None
    jax.config.update("jax_compilation_cache_dir", os.fspath(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    # At the first compilation of a process, JAX decides whether to use a cache.
    compilation_cache.reset_cache()
    return path


def target_platform() -> str:
    """Return the platform for which the function being traced will be compiled.

    Returns:
      "cpu", "gpu" or "tpu": the platform of the mesh that `jax.set_mesh` has set, or else the
      default one. They differ if a program is compiled for devices that this machine lacks.
    """
    device = jax.sharding.get_abstract_mesh().abstract_device
    return device.platform if device is not None else jax.default_backend()


def jit(function: Callable[..., Any], rows: int | None = None, **options: Any) -> Any:
    """Apply `jax.jit` with the compiler options that suit models on the target platform.

    Args:
      function: the function to compile.
      rows: the number of rows of most matrix products, which are the tokens that it reads at once;
        None for many.
      **options: further arguments of `jax.jit`.

    Returns:
      The function of `jax.jit`.
    """
    few = rows is not None and rows <= FEW_ROWS
    library = {_LIBRARY: _SINGLE_PRODUCTS if few else ""}
    chosen = library if target_platform() == "cpu" else {}
    known = {name: value for name, value in chosen.items() if _is_known(name, value)}
    return jax.jit(function, compiler_options=known, **options)


def compile_lowered(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compile a lowered function.

    Args:
      lowered: the result of `jax.jit(f).lower(...)`.

    Returns:
      The compiled function.

    Raises:
      DoesNotFitError: it needs more memory than a device has. Compilers for TPUs find this out.
    """
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise DoesNotFitError(str(error)) from error


@functools.cache
def _is_known(option: str, value: str) -> bool:
    # Experimental options change between versions of XLA, which cannot list them.
    probe = jax.jit(lambda: 0, compiler_options={option: value})
    try:
        probe.lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def peak_memory(compiled: jax.stages.Compiled) -> int:
    """Return the peak memory of a compiled program on one device, in bytes.

    Arguments and results count; a donated argument and the result in its buffer count once. On a
    CPU, the peak that XLA reports leaves out temporaries, so the larger of this peak and the sum is
    returned.

    Args:
      compiled: the result of `jax.jit(f).lower(...).compile()`.

    Returns:
      Bytes per device.

    Raises:
      NotImplementedError: the platform does not report it.
    """
    memory = compiled.memory_analysis()
    if memory is None:
        raise NotImplementedError("this platform does not report the memory of a compiled program")
    held = (
        memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
    )
    return max(held, memory.peak_memory_in_bytes)


def device_memory_limit() -> int:
    """Return the memory that programs can use on one device, in bytes.

    Returns:
      The limit that the first local device reports. A CPU reports no limit, so it is the free
      memory of the machine, divided equally among its devices.
    """
    devices = jax.local_devices()
    statistics = devices[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return psutil.virtual_memory().available // len(devices)

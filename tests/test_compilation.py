"""Programs are found again on disk; memory figures count what a program holds."""

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest
from jax.experimental.compilation_cache import compilation_cache

from fsl_jax import compilation


@pytest.fixture
def cache_settings():
    """Puts JAX's settings back as they were."""
    names = [
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    ]
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def programs(directory, name):
    return list(directory.glob(f"jit_{name}-*-cache"))


def test_small_programs_are_kept_and_found_again(tmp_path, cache_settings):
    def shifted(x):
        return x * 3.0 + 1.0

    x = np.ones(5, np.float32)
    # A compilation before the cache is switched on must not switch it off for good.
    jax.jit(lambda x: x - 1.0)(x)
    directory = compilation.enable_compilation_cache(tmp_path / "compiled")
    jax.jit(shifted)(x)
    assert len(programs(directory, "shifted")) == 1
    jax.clear_caches()
    events = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    try:
        jax.jit(shifted)(x)
    finally:
        jax.monitoring.clear_event_listeners()
    assert events.count("/jax/compilation_cache/cache_hits") == 1
    assert "/jax/compilation_cache/cache_misses" not in events


def test_options_that_this_version_of_xla_lacks_are_left_out():
    assert compilation._is_known("xla_cpu_max_isa", "AVX2")
    assert not compilation._is_known("xla_cpu_make_everything_fast", "")


def test_options_are_those_of_the_platform_that_is_compiled_for(monkeypatch):
    given = []
    monkeypatch.setattr(compilation, "_is_known", lambda *option: given.append(option))
    for platform in ("gpu", "cpu"):
        monkeypatch.setattr(compilation, "target_platform", lambda platform=platform: platform)
        assert compilation.jit(lambda x: x * 2.0)(np.float32(3)) == 6
    assert given == [("xla_cpu_experimental_ynn_fusion_type", "")]


def test_default_directory_is_in_the_cache_directory(tmp_path, monkeypatch, cache_settings):
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path))
    directory = compilation.enable_compilation_cache()
    assert directory == tmp_path / "compiled"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")


def test_without_a_usable_directory_nothing_is_kept(tmp_path, monkeypatch, cache_settings):
    (tmp_path / "compiled").write_text("in the way")
    monkeypatch.setenv("FSL_JAX_CACHE", str(tmp_path))
    assert compilation.enable_compilation_cache() is None


def test_entry_cut_short_by_a_kill_costs_a_warning_and_a_compilation(tmp_path, cache_settings):
    directory = compilation.enable_compilation_cache(tmp_path)

    def doubled(x):
        return x * 2.0

    x = np.ones(7, np.float32)
    jax.jit(doubled)(x)
    [entry] = programs(directory, "doubled")
    entry.write_bytes(entry.read_bytes()[:100])
    jax.clear_caches()
    with pytest.warns(UserWarning, match="persistent compilation cache"):
        found = jax.jit(doubled)(x)
    np.testing.assert_array_equal(found, x * 2)


def test_peak_memory_counts_arguments_temporaries_and_results():
    size = 256 * 1024 * 4

    def program(x):
        return jnp.tanh(x @ jnp.tanh(x.T @ x))

    x = jax.ShapeDtypeStruct((256, 1024), jnp.float32)
    peak = compilation.peak_memory(jax.jit(program).lower(x).compile())
    # The square in the middle is four times as large as argument and result.
    assert peak >= 6 * size


def test_donated_argument_counts_once():
    x = jax.ShapeDtypeStruct((1 << 20,), jnp.float32)
    plain = compilation.peak_memory(jax.jit(lambda x: x + 1.0).lower(x).compile())
    donating = jax.jit(lambda x: x + 1.0, donate_argnums=0)
    assert plain - compilation.peak_memory(donating.lower(x).compile()) == x.size * 4


def test_cpu_devices_share_the_free_memory(monkeypatch):
    class Free:
        available = 8000

    monkeypatch.setattr(psutil, "virtual_memory", Free)
    assert compilation.device_memory_limit() == 8000 // jax.local_device_count()


def test_a_device_that_knows_its_limit_is_asked(monkeypatch):
    class Device:
        def memory_stats(self):
            return {"bytes_limit": 123, "bytes_in_use": 4}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    assert compilation.device_memory_limit() == 123


class Lowered(jax.stages.Lowered):
    """A lowered function that a compiler gives up on."""

    def __init__(self, message):
        self.message = message

    def compile(self):
        raise jax.errors.JaxRuntimeError(self.message)


@pytest.mark.parametrize(
    ("message", "needed", "available"),
    [
        ("HLO temporaries (87.20G) exceeds available HBM (15.75G).", 87.2, 15.75),
        ("Used 23.5G of 15.75G hbm. Exceeded hbm capacity by 7.75G.", 23.5, 15.75),
        ("Out of memory while trying to allocate 2147483648 bytes.", 2, 0),
        ("1536.0MiB of 1GiB", 1.5, 1),
        ("no figure", 0, 0),
    ],
)
def test_a_compiler_that_runs_out_of_memory_says_how_much_there_is(message, needed, available):
    with pytest.raises(compilation.DoesNotFitError, match="more memory than a device has") as error:
        compilation.compile_lowered(Lowered(f"RESOURCE_EXHAUSTED: {message}\nmore lines"))
    assert error.value.needed == int(needed * 2**30)
    assert error.value.available == int(available * 2**30)
    assert "more lines" not in str(error.value)


def test_other_errors_of_a_compiler_stay_what_they_are():
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        compilation.compile_lowered(Lowered("INTERNAL: a bug"))

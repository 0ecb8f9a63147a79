"""The clock for compiling."""

import time

import jax
import jax.numpy as jnp
import pytest

from benchmarks.compile_clock import CompileClock


def test_a_function_traced_inside_another_does_not_count_twice():
    with CompileClock() as clock:
        time.sleep(0.05)
        jax.monitoring.record_event_duration_secs("/jax/core/compile/inner", 0.02)
        jax.monitoring.record_event_duration_secs("/jax/core/compile/outer", 0.04)
        jax.monitoring.record_event_duration_secs("/jax/core/other", 0.05)
    assert clock.seconds == pytest.approx(0.04, abs=0.005)


def test_only_compiling_inside_the_context_counts():
    def compile_anew():
        jax.jit(lambda x: x + 1)(jnp.ones(3)).block_until_ready()

    with CompileClock() as clock:
        compile_anew()
    measured = clock.seconds
    assert measured > 0
    compile_anew()
    assert clock.seconds == measured

"""Measure how long JAX compiles."""

import time

import jax


class CompileClock:
    """A context that measures the seconds of tracing and compiling inside it."""

    def __enter__(self) -> "CompileClock":
        self._spans: list[tuple[float, float]] = []
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        jax.monitoring.unregister_event_duration_listener(self._hear)

    @property
    def seconds(self) -> float:
        """The time so far; a function that is traced inside another one does not count twice."""
        total, reached = 0.0, float("-inf")
        for start, end in sorted(self._spans):
            total += max(0.0, end - max(start, reached))
            reached = max(reached, end)
        return total

    def _hear(self, event: str, seconds: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            self._spans.append((now - seconds, now))

import signal
import threading

import pytest

from fsl_jax.limits import TimeLimitError, limited


def test_code_within_the_limits_runs():
    with limited(5, 1 << 28):
        total = sum(range(1000))
    assert total == 499_500


def _loop():
    while True:
        pass


def test_a_loop_without_end_is_stopped():
    with pytest.raises(TimeLimitError, match=r"more than 0\.05 seconds"), limited(0.05, 1 << 28):
        _loop()


def test_a_product_of_large_numbers_is_stopped():
    with pytest.raises(TimeLimitError), limited(0.05, 1 << 28):
        pow(9, 9**9)


def test_memory_is_refused_and_there_again_afterwards():
    with pytest.raises(MemoryError), limited(5, 1 << 28):
        bytearray(1 << 32)
    assert len(bytearray(1 << 29)) == 1 << 29


def test_a_timer_that_was_set_before_goes_on(monkeypatch):
    rang = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    before, _ = signal.setitimer(signal.ITIMER_REAL, 50)
    try:
        with limited(5, 1 << 28):
            pass
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 50
        assert signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
    finally:
        signal.setitimer(signal.ITIMER_REAL, before)
        signal.signal(signal.SIGALRM, handler)
    assert not rang


def test_another_thread_runs_without_a_limit_of_time():
    results = []

    def run():
        with limited(5, 1 << 28):
            results.append(sum(range(10)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert results == [45]

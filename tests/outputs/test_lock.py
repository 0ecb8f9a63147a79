"""One process at a time writes an output, and a lock that nobody holds is taken over."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from fsl_jax.errors import InputError
from fsl_jax.outputs import lock as locks
from fsl_jax.outputs.lock import LOCK_NAME, hold_directory, hold_path, require_free
from fsl_jax.outputs.lock_file import lock_file
from fsl_jax.outputs.owner import this_process

HOLD = """
import sys
from fsl_jax.outputs.lock import hold_directory
with hold_directory(sys.argv[1]):
    print("held", flush=True)
    input()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a directory until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def write_lock(path: pathlib.Path, age: float = 0.0, **changes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(dataclasses.replace(this_process(), **changes).encode())
    os.utime(path, (0, time.time() - age))


def test_a_second_process_is_refused_until_the_first_is_killed(holder, tmp_path, caplog):
    output = tmp_path / "out"
    expected = rf"out is being written by process {holder.pid} on \S+ since \d{{4}}-.* UTC: wait"
    for attempt in (lambda: hold_directory(output).__enter__(), lambda: require_free(output)):
        with pytest.raises(InputError, match=expected) as refused:
            attempt()
        assert "\n" not in str(refused.value)
    holder.kill()
    holder.wait()
    with hold_directory(output):
        assert lock_file(output / LOCK_NAME).read().process == os.getpid()
    assert list(output.iterdir()) == []
    assert f"written by process {holder.pid} on " in caplog.text
    assert "has ended. This process takes over" in caplog.text


def test_the_lock_is_gone_at_the_end_and_at_an_error(tmp_path):
    output = tmp_path / "a" / "out"
    with hold_directory(output):
        (output / "kept.txt").write_text("")
    assert [path.name for path in output.iterdir()] == ["kept.txt"]
    with pytest.raises(RuntimeError), hold_directory(output):
        raise RuntimeError("a bug")
    assert [path.name for path in output.iterdir()] == ["kept.txt"]


def test_a_path_is_held_beside_it_and_not_created(tmp_path):
    path = tmp_path / "new" / "out"
    with hold_path(path):
        assert not path.exists()
        with pytest.raises(InputError, match="being written by process"), hold_path(path):
            pass
        with hold_path(path.parent / "other"), hold_directory(path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_host_is_stale_after_minutes(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.01)
    output = tmp_path / "out"
    write_lock(output / LOCK_NAME, age=60, machine="elsewhere", host="far", process=7)
    with pytest.raises(InputError, match=r"process 7 on far since .* noticed after 3 minutes"):
        require_free(output)
    write_lock(output / LOCK_NAME, age=600, machine="elsewhere", host="far", process=7)
    with hold_directory(output):
        assert "process 7 on far" in caplog.text
        assert "gave no sign of life for 10 minutes" in caplog.text


def test_a_damaged_lock_is_stale_after_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.01)
    (tmp_path / LOCK_NAME).write_text("{")
    with pytest.raises(InputError, match="an unknown process"), hold_directory(tmp_path):
        pass
    os.utime(tmp_path / LOCK_NAME, (0, 0))
    with hold_directory(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_process_with_a_recycled_id_does_not_hold_the_lock(tmp_path):
    write_lock(tmp_path / "out" / LOCK_NAME, process_start="1")
    with hold_directory(tmp_path / "out"):
        pass


def test_reading_removes_a_stale_lock_of_a_finished_study(tmp_path):
    write_lock(tmp_path / LOCK_NAME, process_start="1")
    require_free(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_renewed_while_it_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.01)
    path = tmp_path / LOCK_NAME
    with hold_directory(tmp_path):
        os.utime(path, (0, 0))
        wait_for(lambda: path.stat().st_mtime > 0)
        path.unlink()
        wait_for(path.exists)


def test_a_process_whose_lock_was_taken_over_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.01)
    messages, ended = [], threading.Event()

    def end(message):
        messages.append(message)
        ended.set()

    monkeypatch.setattr(locks, "end_process", end)
    with hold_directory(tmp_path):
        staging = tmp_path / "new"
        write_lock(staging, host="far", process=7)
        staging.replace(tmp_path / LOCK_NAME)
        assert ended.wait(10)
    assert "was taken over by process 7 on far" in messages[0]
    assert (tmp_path / LOCK_NAME).exists(), "the lock of another process was removed"


def wait_for(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_of_many_threads_takes_over_a_stale_lock(tmp_path):
    write_lock(tmp_path / LOCK_NAME, process_start="1")
    barrier, release, taken = threading.Barrier(6), threading.Event(), []

    def take(number):
        barrier.wait()
        try:
            with hold_directory(tmp_path):
                taken.append(number)
                release.wait(10)
        except InputError:
            pass

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    while sum(thread.is_alive() for thread in threads) > 1:
        time.sleep(0.005)
    release.set()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"out: nothing .* it is a file"):
        hold_directory(tmp_path / "out").__enter__()
    with pytest.raises(InputError, match="a part of its path is a file"):
        hold_directory(tmp_path / "out" / "below").__enter__()


@pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="there is no /proc here")
def test_a_directory_in_which_nothing_can_be_made_is_not_called_busy():
    with pytest.raises(InputError, match="nothing can be written there"), hold_path("/proc/a"):
        pass


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with (
        pytest.raises(InputError, match="File name too long"),
        hold_directory(tmp_path / ("x" * 300)),
    ):
        pass


def test_a_store_without_its_package_is_refused():
    with pytest.raises(InputError, match="pip install gcsfs"):
        require_free("gs://bucket/out")

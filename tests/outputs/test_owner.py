"""The owner of a lock is recognised as long as it runs, and a later process is not taken for it."""

import dataclasses
import os
import subprocess
import sys

import pytest
from fuzzing import read_damaged

from fsl_jax.errors import InputError
from fsl_jax.outputs.owner import decode_owner, process_start, this_process


def test_this_process_runs_and_names_itself():
    owner = this_process()
    assert owner.has_ended() is False
    assert f"process {os.getpid()} on " in owner.describe()
    assert owner.started in owner.describe()
    assert owner.token != this_process().token


def test_a_later_process_with_the_same_id_is_another_one():
    owner = dataclasses.replace(this_process(), process_start="1")
    assert owner.has_ended() is True


def test_a_process_that_was_killed_has_ended_even_if_nobody_collected_it():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = process_start(process.pid)
    owner = dataclasses.replace(this_process(), process=process.pid, process_start=start)
    assert owner.has_ended() is False
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) == ""
    assert owner.has_ended() is True
    process.wait()
    process.stdin.close()
    assert process_start(process.pid) is None
    assert owner.has_ended() is True


@pytest.mark.parametrize("process", [-1, 0, 2**31, 2**63])
def test_ids_that_no_process_has_are_of_one_that_has_ended(process):
    assert dataclasses.replace(this_process(), process=process).has_ended() is True


def test_processes_of_another_machine_cannot_be_seen():
    assert dataclasses.replace(this_process(), machine="elsewhere").has_ended() is None


def test_an_owner_is_read_as_it_was_written():
    owner = this_process()
    assert decode_owner(owner.encode()) == owner
    for damaged in (b"", b"{}", b"[]", owner.encode()[:-9], owner.encode() + b"}", b"\xff"):
        assert decode_owner(damaged) is None


def read(data: bytes):
    if (owner := decode_owner(data)) is None:
        raise InputError("damaged")
    return owner.has_ended(), owner.describe()


def test_damaged_locks_are_read_as_an_owner_or_none():
    read_damaged(read, [this_process().encode()])


@pytest.mark.soak
def test_many_damaged_locks_are_read_as_an_owner_or_none():
    read_damaged(read, [this_process().encode()], cases=20_000)

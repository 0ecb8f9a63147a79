"""A checkpoint comes back exactly, or is not there; nothing that happens to it goes unnoticed."""

import errno
import logging
import os
import resource
import signal
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fsl_jax import files
from fsl_jax.errors import InputError
from fsl_jax.training import checkpoints, manifest, orbax_arrays


def state(value=1.0):
    adapter = {"layers": {"query": {"lora_a": jnp.full((2, 3), value), "lora_b": None}}}
    return {
        "adapter": adapter,
        "optimizer": optax.adam(1e-3).init(adapter),
        "cursor": {"step": 3, "key": jax.random.key(5), "half": jnp.full(4, value, jnp.bfloat16)},
    }


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert type(one) is type(other)
        if jax.dtypes.issubdtype(getattr(one, "dtype", int), jax.dtypes.prng_key):
            one, other = jax.random.key_data(one), jax.random.key_data(other)
        assert np.asarray(one).dtype == np.asarray(other).dtype
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A directory with one checkpoint of a single number."""
    directory = tmp_path_factory.mktemp("small")
    checkpoints.save(directory, 40, {"cursor": {"x": np.zeros(2, np.uint32)}}, {"plan": "a"})
    return directory


def test_round_trip_is_exact(tmp_path):
    path = checkpoints.save(tmp_path, 40, state(), {"plan": "abc", "losses": [1.5, None]})
    assert path == tmp_path / "step_00000040"
    found = checkpoints.restore_latest(tmp_path, state(0.0))
    assert found.step == 40
    assert found.metadata == {"plan": "abc", "losses": [1.5, None]}
    assert_same(found.items, state())


def test_shapes_are_templates_enough(tmp_path):
    items = {"adapter": state()["adapter"], "optimizer": state()["optimizer"]}
    checkpoints.save(tmp_path, 0, items, {})
    found = checkpoints.restore_latest(tmp_path, jax.eval_shape(lambda: items))
    assert_same(found.items, items)


def test_items_without_elements_and_without_leaves(tmp_path):
    items = {"none": {}, "empty": {"x": jnp.zeros((0, 3))}, "some": {"x": jnp.ones(1)}}
    checkpoints.save(tmp_path, 1, items, {})
    assert_same(checkpoints.restore_latest(tmp_path, items).items, items)
    checkpoints.save(tmp_path, 2, {"none": None}, {})
    assert checkpoints.restore_latest(tmp_path, {"none": None}).step == 2


def test_metadata_can_be_read_alone(small):
    found = checkpoints.restore_latest(small, None)
    assert (found.step, found.metadata, found.items) == (40, {"plan": "a"}, {})


@pytest.mark.parametrize("name", ["missing", "."])
def test_without_checkpoints_there_is_none(tmp_path, name):
    assert checkpoints.restore_latest(tmp_path / name, state()) is None
    assert names(tmp_path) == []


def test_newest_stay_and_the_rest_goes(tmp_path):
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, step, {"x": np.arange(step)}, {}, keep=2)
    assert names(tmp_path) == ["step_00000002", "step_00000003"]
    checkpoints.save(tmp_path, 4, {"x": np.arange(4)}, {}, keep=1)
    assert names(tmp_path) == ["step_00000004"]


def test_what_was_saved_last_is_the_latest_even_if_later_steps_were_there(tmp_path):
    for step in (10, 20, 15):
        checkpoints.save(tmp_path, step, {"x": np.asarray(step)}, {})
    assert names(tmp_path) == ["step_00000010", "step_00000015"]


def test_the_same_step_is_replaced(tmp_path):
    for value in (1.0, 2.0):
        checkpoints.save(tmp_path, 7, state(value), {})
    assert names(tmp_path) == ["step_00000007"]
    assert_same(checkpoints.restore_latest(tmp_path, state()).items, state(2.0))


@pytest.mark.parametrize("settings", [{"keep": 0}, {"step": -1}])
def test_numbers_out_of_range_are_refused(tmp_path, settings):
    with pytest.raises(ValueError, match="expected keep >= 1 and step >= 0"):
        checkpoints.save(tmp_path, **({"step": 1} | settings), items={}, metadata={})


def test_metadata_that_is_no_json_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        checkpoints.save(tmp_path, 1, state(), {"loss": float("nan")})
    assert names(tmp_path) == []


def test_all_differences_from_the_templates_are_listed(tmp_path):
    checkpoints.save(tmp_path, 40, {"adapter": {"a": jnp.ones(2), "b": jnp.ones(3)}}, {})
    templates = {"adapter": {"a": jnp.ones(4), "c": jnp.ones(1)}, "cursor": {"step": 0}}
    with pytest.raises(InputError) as raised:
        checkpoints.restore_latest(tmp_path, templates)
    summary, *faults = str(raised.value).splitlines()
    assert summary.startswith(f"{tmp_path}/step_00000040 is the checkpoint of another program")
    assert faults == [
        "  - adapter/a: found float32[2], expected float32[4]",
        "  - adapter/b: unexpected, found float32[3]",
        "  - adapter/c: missing, expected float32[1]",
        "  - cursor/step: missing, expected int64[]",
    ]


# In the quick run not every byte, since all files are hashed for each.
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.soak)])
def test_changed_bytes_of_every_file_are_noticed(small, step):
    path = small / "step_00000040"
    everything = [entry for entry in path.rglob("*") if entry.is_file()]
    kinds = {"manifest.json", "metadata.json", "manifest.ocdbt", "_METADATA"}
    assert kinds <= {entry.name for entry in everything}
    for entry in everything:
        whole = entry.read_bytes()
        for place in range(len(entry.name) % step, len(whole), step):
            changed = bytearray(whole)
            changed[place] ^= 1 << (place % 8)
            entry.write_bytes(changed)
            [fault] = checkpoints.verify(path)
            assert fault.startswith(f"{entry.relative_to(path)}: ")
        entry.write_bytes(whole)
    assert checkpoints.verify(path) == []


def truncate(path):
    os.truncate(path / "metadata.json", 10)


def remove(path):
    (path / "metadata.json").unlink()


def change(path):
    content = (path / "metadata.json").read_bytes()
    (path / "metadata.json").write_bytes(content.replace(b"40", b"41").replace(b"80", b"81"))


def add(path):
    (path / "metadata.json.bak").write_text("")


def lose_manifest(path):
    (path / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (truncate, "metadata.json: 10 bytes"),
        (remove, "metadata.json: missing"),
        (change, "metadata.json: SHA-256"),
        (add, "metadata.json.bak: not in manifest.json"),
        (lose_manifest, "manifest.json: missing"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path, caplog, damage, named):
    for step in (40, 80):
        checkpoints.save(tmp_path, step, {"x": np.asarray(step)}, {})
    damage(tmp_path / "step_00000080")
    with caplog.at_level(logging.WARNING, "absl"):
        found = checkpoints.restore_latest(tmp_path, {"x": np.asarray(0)})
    assert (found.step, found.items["x"]) == (40, 40)
    [message] = caplog.messages
    assert f"{tmp_path}/step_00000080: {named}" in message
    assert f"{tmp_path}/step_00000040 is used" in message


def test_when_all_are_damaged_there_is_none(tmp_path, caplog):
    for step in (40, 80):
        checkpoints.save(tmp_path, step, {"x": np.asarray(step)}, {})
        truncate(tmp_path / f"step_000000{step}")
    with caplog.at_level(logging.WARNING, "absl"):
        assert checkpoints.restore_latest(tmp_path, {"x": np.asarray(0)}) is None
    assert len(caplog.messages) == 2
    assert all("nothing is resumed" in message for message in caplog.messages)


def test_a_checkpoint_under_the_name_of_another_step_is_damaged(tmp_path):
    path = checkpoints.save(tmp_path, 40, {"x": np.asarray(1)}, {})
    assert checkpoints.verify(path.rename(tmp_path / "step_00000041")) == [
        "metadata.json: its step is not the one in the directory's name"
    ]


def test_going_on_from_an_earlier_one_gives_up_the_damaged(tmp_path):
    for step in (40, 80):
        checkpoints.save(tmp_path, step, {"x": np.asarray(step)}, {}, keep=2)
    truncate(tmp_path / "step_00000080")
    checkpoints.save(tmp_path, 60, {"x": np.asarray(60)}, {}, keep=1)
    assert names(tmp_path) == ["step_00000060"]


def test_a_full_disk_is_an_os_error_and_loses_nothing(tmp_path, capfd):
    checkpoints.save(tmp_path, 40, {"x": np.asarray(1)}, {})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            checkpoints.save(tmp_path, 80, {"x": np.random.default_rng(0).random(1 << 16)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG
    assert names(tmp_path) == ["step_00000040"]
    assert checkpoints.restore_latest(tmp_path, {"x": np.asarray(0)}).step == 40
    assert "Traceback" not in capfd.readouterr().err


def test_what_tensorstore_says_of_a_full_disk_is_understood():
    text = "RESOURCE_EXHAUSTED: Failed to write 9 bytes: No space left on device [os_error_code=…]"
    error = orbax_arrays._as_os_error(ValueError(text), files.cache_directory())
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC
    other = ValueError("another")
    assert orbax_arrays._as_os_error(other, files.cache_directory()) is other


def test_a_disk_that_fills_up_at_the_end_loses_nothing(tmp_path, monkeypatch):
    checkpoints.save(tmp_path, 40, {"x": np.asarray(1)}, {})

    def fail(directory):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(manifest, "write", fail)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, 80, {"x": np.asarray(2)}, {})
    assert names(tmp_path) == ["step_00000040"]


def test_on_an_object_store_the_manifest_makes_a_checkpoint_exist(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(files, "is_local", lambda path: False)
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, step, {"x": np.asarray(step)}, {}, keep=2)
    assert names(tmp_path) == ["step_00000002", "step_00000003"]
    lose_manifest(tmp_path / "step_00000003")
    assert checkpoints.restore_latest(tmp_path, {"x": np.asarray(0)}).items["x"] == 2
    assert "never finished" in caplog.text


def test_logging_is_as_loud_as_before(tmp_path):
    before = logging.getLogger("absl").level
    checkpoints.save(tmp_path, 1, {"x": np.asarray(1)}, {})
    assert logging.getLogger("absl").level == before


# Saves step 40, then step 80, in a child for each line of input: a number of milliseconds after
# which the second save is ended, or with "event", the number of Python's file operations in it.
_KILLED_SAVES = """
import os, signal, sys
import numpy as np
from orbax.checkpoint import v1
from fsl_jax.training import checkpoints

def save(directory, step):
    items = {name: {"x": np.full((50, 50), step)} for name in ("adapter", "optimizer")}
    checkpoints.save(directory, step, items, {"step": step}, keep=1)

def run(directory, kind, number):
    save(directory, 40)
    seen = 0
    def count(event, _):
        nonlocal seen
        if event == "open" or event.startswith(("os.", "shutil.")):
            seen += 1
            if kind == "event" and seen == number:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    if kind == "milliseconds":
        signal.setitimer(signal.ITIMER_REAL, number / 1000)
    save(directory, 80)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with open(os.path.join(directory, "events"), "w") as file:
        file.write(str(seen))

for line in sys.stdin:
    directory, kind, number = line.split()
    child = os.fork()
    if not child:
        run(directory, kind, int(number))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Killer:
    """Starts saves and kills them."""

    def __init__(self, above):
        self.above, self.count = above, 0
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error::ResourceWarning", "-c", _KILLED_SAVES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def save(self, kind, number):
        self.count += 1
        directory = self.above / str(self.count)
        directory.mkdir()
        self.process.stdin.write(f"{directory} {kind} {number}\n")
        self.process.stdin.flush()
        return directory, int(self.process.stdout.readline())


@pytest.fixture
def killer(tmp_path):
    killer = Killer(tmp_path)
    yield killer
    killer.process.stdin.close()
    killer.process.stdout.close()
    assert killer.process.wait() == 0


def restored_step(directory):
    """Return the step of the saved state that is restored, after checking it exactly."""
    template = {name: {"x": np.zeros((50, 50), int)} for name in ("adapter", "optimizer")}
    found = checkpoints.restore_latest(directory, template)
    assert found.step in (40, 80)
    for item in found.items.values():
        np.testing.assert_array_equal(item["x"], np.full((50, 50), found.step))
    assert found.metadata == {"step": found.step}
    kept = {name for name in names(directory) if name != "events"}
    assert kept - {"step_00000040"} == ({"step_00000080"} if found.step == 80 else set())
    return found.step


def kill_at(killer, events):
    """Kills saves at some of their file operations, and while Orbax writes."""
    steps = []
    for number in events:
        directory, status = killer.save("event", number)
        assert status == -signal.SIGKILL
        steps.append(restored_step(directory))
    for milliseconds in (5, 15, 30, 60):
        directory, status = killer.save("milliseconds", milliseconds)
        assert status in (0, -signal.SIGALRM)
        restored_step(directory)
    return steps


def count_events(killer):
    directory, status = killer.save("event", 0)
    assert status == 0
    return int((directory / "events").read_text())


def test_a_kill_inside_a_save_leaves_the_old_or_the_new(killer):
    total = count_events(killer)
    steps = kill_at(killer, np.linspace(1, total - 2, 10, dtype=int))
    assert steps == sorted(steps)
    assert set(steps) == {40, 80}


@pytest.mark.soak
def test_a_kill_at_any_file_operation_inside_a_save_leaves_the_old_or_the_new(killer):
    steps = kill_at(killer, range(1, count_events(killer) - 2))
    assert set(steps) == {40, 80}


_ONE_OF_TWO_PROCESSES = """
import sys
import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from fsl_jax.training import checkpoints

address, index, directory = sys.argv[1:]
jax.distributed.initialize(address, 2, int(index))
mesh = jax.make_mesh((2,), ("runs",), axis_types=(AxisType.Auto,))
over_runs, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("runs",), ()))

def state(sharding):
    make = lambda: (jax.numpy.arange(6.0).reshape(2, 3), jax.random.split(jax.random.key(3), 2))
    values, keys = jax.jit(make, out_shardings=sharding)()
    return {"adapter": {"values": values, "keys": keys}, "cursor": {"step": 5}}

checkpoints.save(directory, 40, state(over_runs), {})
multihost_utils.sync_global_devices("saved")
for sharding in (over_runs, everywhere):
    found = checkpoints.restore_latest(directory, state(sharding))
    values, keys = found.items["adapter"]["values"], found.items["adapter"]["keys"]
    assert values.sharding.is_equivalent_to(sharding, 2)
    assert keys.sharding.is_equivalent_to(sharding, 1)
    same = lambda one, other: (jax.random.key_data(one) == jax.random.key_data(other)).all()
    assert jax.jit(same, out_shardings=everywhere)(keys, state(sharding)["adapter"]["keys"])
    for shard in values.addressable_shards:
        np.testing.assert_array_equal(shard.data, np.arange(6.0).reshape(2, 3)[shard.index])
    assert found.items["cursor"] == {"step": 5}
"""


def test_two_processes_save_together_and_each_restores_its_share(tmp_path, quick_flags):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": quick_flags}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _ONE_OF_TWO_PROCESSES, address, str(index), str(tmp_path)],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for index in range(2)
    ]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    assert names(tmp_path) == ["step_00000040"]

"""Two processes that agree on things, and what each of them can reach."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from fsl_jax import processes
from fsl_jax.sharding import make_mesh, over_rows

TWO = """
import sys
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from fsl_jax import processes
from fsl_jax.errors import InputError
from fsl_jax.sharding import make_mesh, over_rows, place, replicate, run_shardings

address, number = sys.argv[1], int(sys.argv[2])
jax.distributed.initialize(address, 2, number)
assert processes.is_first() == (number == 0)
assert processes.gather({"seen": [number] * (1 + 40 * number)}) == [
    {"seen": [0]}, {"seen": [1] * 41}
]
assert processes.from_first(f"from {number}") == "from 0"
assert processes.from_first(None if number else [None]) == [None]

def refuse():
    raise InputError(f"refused by {number}")

assert processes.in_first(lambda: {"by": number}) == {"by": 0}
try:
    processes.in_first(refuse)
except InputError as error:
    assert str(error) == "refused by 0", error
else:
    raise AssertionError("the error of the first process was lost")

processes.require_agreement({"shots": 16})
try:
    processes.require_agreement({"shots": 16, "seed": number, "path": None})
except InputError as error:
    assert "seed: 1 in process 1, 0 in process 0" in str(error), error
    assert "shots" not in str(error)
else:
    raise AssertionError("a difference was overlooked")

mesh = make_mesh(2, 1, 2)
tree = {
    "kernel": np.arange(24.0, dtype=np.float32).reshape(4, 6),
    "keys": jax.random.split(jax.random.key(7), 4),
    "local": jax.numpy.arange(4.0),
}
placed = place(tree, run_shardings(tree, mesh))
assert all(leaf.addressable_shards[0].data.shape[0] == 2 for leaf in placed.values())
again = place(placed, jax.tree.map(lambda _: NamedSharding(mesh, PartitionSpec()), placed))
for keys in (placed.pop("keys"), again.pop("keys")):
    assert jax.jit(lambda one, other: (one == other).all())(keys, tree["keys"])
for each in (placed, again):
    whole = processes.to_host(each)
    np.testing.assert_array_equal(whole["kernel"], tree["kernel"])
    np.testing.assert_array_equal(whole["local"], tree["local"])
rows = jax.device_put(replicate(np.arange(8).reshape(4, 2), mesh), over_rows(mesh, 4))
np.testing.assert_array_equal(processes.to_host(rows + 1), np.arange(8).reshape(4, 2) + 1)
print("agreed")
"""


def test_two_processes_agree_and_reach_what_is_spread_over_both(quick_flags):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count=2 {quick_flags}",
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, address, str(number)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        for process in started:
            out, err = process.communicate()
            assert process.returncode == 0, err
            assert out.endswith("agreed\n")
    finally:
        for process in started:
            process.kill()
            process.communicate()


def test_one_process_agrees_with_itself():
    assert processes.is_first()
    assert processes.gather((1, "two", None)) == [[1, "two", None]]
    assert processes.from_first({"three": 3.5}) == {"three": 3.5}
    processes.require_agreement({"any": "thing"})


def test_what_is_no_json_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        processes.gather(np.arange(2))


def test_to_host_gives_numpy_arrays_in_the_same_structure():
    mesh = make_mesh(8)
    spread = jax.device_put(np.arange(8), over_rows(mesh, 8))
    assert len(spread.addressable_shards) == 8
    tree = {"spread": spread, "own": [np.ones(2), jax.numpy.zeros(3)], "absent": None}
    found = processes.to_host(tree)
    assert isinstance(found["spread"], np.ndarray)
    np.testing.assert_array_equal(found["spread"], np.arange(8))
    assert isinstance(found["own"][1], np.ndarray)
    assert found["absent"] is None

"""The memory that the LoRA program of smollm2-135m needs on a TPU, by the TPU compiler."""

import json
import os
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).with_name("compile_for_tpu.py")


def test_sixteen_runs_on_sixteen_chips_share_one_base_a_chip():
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), "v5e:4x4", "16", "bfloat16"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["platform"] == "tpu"
    base, memory = found["base"], found["memory"]
    assert base == 2 * 134_515_008
    # 0.62 GiB (1.41 in float32): the base once, and the activations of one run. If each run had its
    # base, a chip would hold one more; if runs were not spread, it would hold 16 runs' activations.
    assert base < memory < 0.75 * 2**30 < memory + base

"""The memory that the LoRA program of smollm2-135m needs on TPUs, by the TPU compiler."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("compile_for_tpu.py")


def run_compiler(*arguments):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    ended = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return json.loads(ended.stdout.splitlines()[-1])


def test_sixteen_runs_on_sixteen_chips_share_one_base_a_chip():
    compiled = run_compiler("compile", "v5e:4x4", "16", "bfloat16")
    assert compiled["platform"] == "tpu"
    base, memory = compiled["base"], compiled["memory"]
    assert base == 2 * 134_515_008
    # 0.62 GiB (1.41 in float32): the base once, and the activations of one run. If each run had its
    # base, a chip would hold one more; if runs were not spread, it would hold 16 runs' activations.
    assert base < memory < 0.75 * 2**30 < memory + base


def test_what_chips_cannot_do_is_refused_with_what_they_can():
    refused = run_compiler("refuse")
    assert re.match(r"a program of 128 run\(s\) needs [\d.]+ GiB or more, and a", refused["runs"])
    assert "and a device has 15.75 GiB: choose a smaller batch" in refused["runs"]
    mesh = refused["mesh"]
    assert mesh.startswith("--mesh_runs=8 --mesh_batch=2 --mesh_model=1 would split")
    assert "16 × 1 × 1" in mesh
    assert "8 × 2 × 1" not in mesh


@pytest.mark.soak
def test_a_slice_that_is_too_small_trains_groups():
    results = run_compiler("choose", "v5e:2x2", "128", "float32")
    assert results["sizes"] == [128, 64]
    assert 0 < results["memory"] <= 15 << 30

"""The parts of the package are found after `import fsl_jax` alone, in a new process."""

import subprocess
import sys

import pytest

import fsl_jax


def run(code):
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_its_parts_are_found_when_they_are_asked_for():
    names = (
        "adapt.load_adapter",
        "tasks.load_dataset",
        "models.export",
        "formulations.row_logits",
        "load",
    )
    shown = "; ".join(f"print(fsl_jax.{name}.__name__)" for name in names)
    found = run(f"import sys, fsl_jax; print('jax' in sys.modules); {shown}")
    assert found == ["False", *(name.rpartition(".")[2] for name in names)]


def test_what_it_has_not_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'fsl_jax' has no attribute 'adapter'"):
        _ = fsl_jax.adapter

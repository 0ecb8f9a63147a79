"""Exporting as a user does: from a command to a directory, or to a message."""

import jax
import numpy as np
import pytest

import fsl_jax
from fsl_jax.adapt import attach, parse_method, save_peft
from fsl_jax.adapt.tree import flatten, unflatten


@pytest.fixture
def adapter(llama_directory, tmp_path):
    """Saves an adapter of a method on the tiny Llama."""

    def of(text):
        base, method = fsl_jax.load(str(llama_directory)), parse_method(text)
        params, _ = attach(base.params, method, jax.random.key(0))
        leaves = {
            path: leaf + np.float32(0.1) if path.endswith(("lora_b", "up")) else leaf
            for path, leaf in flatten(params).items()
        }
        save_peft(tmp_path / "adapter", unflatten(leaves), base, method)
        return tmp_path / "adapter"

    return of


@pytest.mark.parametrize(
    ("text", "target", "start"), [("lora(2)", "vllm", "run_cold"), ("ia3", "peft", "run_to_end")]
)
def test_the_script_writes_what_it_has_read_again(adapter, request, tmp_path, text, target, start):
    output = tmp_path / "served"
    status, out, err = request.getfixturevalue(start)(
        "export", f"--adapter={adapter(text)}", f"--for={target}", f"--output={output}"
    )
    assert status == 0, err
    assert "Read again it computes the same" in out
    assert f"{output} is an adapter for {target}" in out
    assert (output / "adapter_model.safetensors").exists()


def test_what_cannot_be_served_is_said_without_a_traceback(adapter, run_to_end, tmp_path):
    flags = (f"--adapter={adapter('adapter(size=2)')}", "--for=merged", f"--output={tmp_path}/out")
    status, out, err = run_to_end("export", *flags)
    assert (status, out) == (2, "")
    assert "a bottleneck is not linear" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()

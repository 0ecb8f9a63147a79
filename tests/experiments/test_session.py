"""The start and the end of a script, each in its own process."""

import json
import os
import socket
import subprocess
import sys

import pytest

from experiments import evaluate, export, generate, results, session
from fsl_jax.errors import InputError
from fsl_jax.outputs.lock import hold_directory, hold_path

START = """
import json
from experiments import session

session.start(False, deterministic=True, matmul_precision="high")
import jax
from fsl_jax.studies.planning.environment import describe

jax.numpy.zeros(1).block_until_ready()
print(json.dumps(describe()))
"""

END = """
import sys
from experiments import session

address, number, ending = sys.argv[1:]
with session.reporting_errors():
    session.start(True, False, "default", address, 2, int(number))
    from fsl_jax import processes
    from fsl_jax.errors import InputError

    for turn in range(1000):
        processes.gather(turn)
        if turn == 3 and number == "1":
            print("ends now", flush=True)
            if ending == "refused":
                raise InputError("the file of process 1 is missing")
            if ending == "bug":
                raise RuntimeError("a bug in process 1")
"""

JOIN = """
from experiments import session
with session.reporting_errors():
    session.start(**{arguments})
"""


def python(code: str, *arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_settings_are_made_before_the_devices_start_and_are_recorded(tmp_path):
    flag = "--xla_force_host_platform_device_count=3"
    process = python(START, XLA_FLAGS=flag, FSL_JAX_CACHE=str(tmp_path))
    out, err = process.communicate()
    assert process.returncode == 0, err
    environment = json.loads(out.splitlines()[-1])
    assert environment["xla_flags"] == f"{flag} --xla_gpu_deterministic_ops=true"
    assert environment["devices"] == 3
    assert environment["matmul_precision"] == "high"


def test_importing_the_study_starts_no_devices():
    """Flags of XLA that are set later would be passed over in silence."""
    code = (
        "import experiments.study, fsl_jax.studies.study, fsl_jax.studies.forecasting.dry_run\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized()\n"
    )
    process = python(code)
    _, err = process.communicate()
    assert process.returncode == 0, err


@pytest.mark.parametrize(
    ("ending", "status", "message"),
    [
        ("refused", 2, "error: the file of process 1 is missing"),
        ("bug", 1, "RuntimeError: a bug in process 1"),
    ],
)
def test_a_process_that_fails_leaves_no_other_waiting(ending, status, message, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    both = [python(END, address, number, ending, FSL_JAX_CACHE=str(tmp_path)) for number in "01"]
    try:
        # Starting may take any time on a busy machine, so the limits count from here on.
        assert "ends now\n" in iter(both[1].stdout.readline, "")
        # Less than the 100 seconds after which JAX takes a silent process for dead.
        _, err = both[1].communicate(timeout=90)
        assert both[1].returncode == status, err
        assert message in err
        assert ("Traceback" in err) == (ending == "bug")
        _, err = both[0].communicate(timeout=90)
        assert both[0].returncode == 1, err
    finally:
        for process in both:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (True, None, 2, None),
            "--coordinator_address, --num_processes and --process_id go together",
        ),
        ((False, "localhost:1", 2, 0), "go together, and with --distributed"),
        (
            (True, "localhost:1", 2, 2),
            "--process_id=2: expected a number below --num_processes=2",
        ),
    ],
)
def test_processes_that_cannot_find_each_other_are_told_what_to_give(arguments, message):
    with pytest.raises(InputError, match=message):
        session._join(*arguments)


def test_an_environment_that_does_not_tell_of_other_processes_is_named():
    process = python(JOIN.format(arguments={"distributed": True}))
    _, err = process.communicate()
    assert process.returncode == 2, err
    assert "The environment does not tell, so give --coordinator_address" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("platform", "message"),
    [("cuda", "of the platform cuda: "), ("abacus", "Backend 'abacus' is not in the list")],
)
def test_a_platform_that_is_not_there_is_one_message(platform, message):
    code = JOIN.format(arguments={})
    process = python(code, JAX_PLATFORMS=platform)
    _, err = process.communicate()
    assert process.returncode == 2, err
    assert "error: JAX finds no device" in err
    assert message in err
    assert "Traceback" not in err


def test_output_that_nobody_reads_ends_the_script_quietly():
    code = (
        "from experiments import session\n"
        "with session.reporting_errors():\n"
        "    print('x' * 100, flush={flush})\n"
    )
    for flush in (True, False):
        with python(code.format(flush=flush)) as process:
            process.stdout.close()
            err = process.stderr.read()
        assert (process.returncode, err) == (session.UNREAD, "")


def outputs_of(path: str) -> dict[str, tuple]:
    """The flags of each script that writes, with an output and with what cannot be loaded."""
    return {
        "evaluate": (
            evaluate.EvaluateFlags(model="none", adapter="none", dataset="none", output=path),
        ),
        "export": (export.ExportFlags(adapter="none", target="peft", output=path),),
        "generate": (
            generate.PromptFlags(model="none", prompt=("a",), output=path),
            generate.GenerationFlags(),
        ),
        "results": (results.ResultsFlags(data_dir="", output=path, page=f"{path}.md"),),
    }


@pytest.mark.parametrize("path", ["", "  ", "hdfs://a/b"])
@pytest.mark.parametrize("script", ["evaluate", "export", "generate", "results"])
def test_an_output_that_names_nothing_is_refused_by_every_script(script, path):
    with pytest.raises(InputError, match=r"--output is empty|unknown kind of path"):
        session.require_outputs(outputs_of(path)[script])


def test_the_page_of_results_has_to_be_named_and_generations_need_no_output():
    with pytest.raises(InputError, match="--page is empty"):
        session.require_outputs([results.ResultsFlags(data_dir="", page="")])
    session.require_outputs([generate.PromptFlags(model="none")])


@pytest.mark.parametrize("script", [evaluate, export, generate, results])
def test_an_output_that_is_being_written_is_refused_before_anything_is_loaded(script, tmp_path):
    path = tmp_path / "out"
    flags = outputs_of(str(path))[script.__name__.rpartition(".")[2]]
    hold = hold_directory if script in (evaluate, results) else hold_path
    with hold(path), pytest.raises(InputError, match="out is being written by process"):
        script.main(*flags)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_being_written_is_refused(tmp_path):
    flags = outputs_of(str(tmp_path / "out"))["results"]
    with hold_path(tmp_path / "out.md"), pytest.raises(InputError, match=r"out\.md is being"):
        results.main(*flags)

"""Several studies into one page, as a user runs them."""

import json
import signal
import sys
import threading
import time

import pytest
from etils import epath

from experiments import results
from experiments.results import ResultsFlags, main
from fsl_jax.errors import InputError
from fsl_jax.sealed_json import write_sealed
from fsl_jax.studies.planning.plan_file import read_plan


def test_studies_become_one_table_and_are_not_done_twice(
    run_cold, bert_directory, data_directory, tmp_path
):
    config = tmp_path / "quick.flags"
    flags = (
        f"--models={bert_directory}",
        "--methods=linear_probe,bitfit",
        "--shots=4",
        "--seeds=1",
        "--learning_rates=3e-2",
        "--steps=4",
        "--evaluate_every=4",
        "--batch_size=4",
    )
    config.write_text("\n".join(flags))
    more = tmp_path / "more.flags"
    more.write_text("--steps=2\n--evaluate_every=2\n")
    page = tmp_path / "page.md"
    page.write_text("Before\n\n<!-- results -->old<!-- end of results -->\n\nAfter\n")
    command = (
        "results",
        f"--data_dir={data_directory.parent}",
        f"--studies={data_directory.name}:{config}+{more},{data_directory.name}:{config}",
        f"--output={tmp_path / 'out'}",
        f"--page={page}",
    )
    status, out, err = run_cold(*command)
    assert status == 0, err
    assert "min to go, by a first guess" in out
    text = page.read_text()
    assert text.startswith("Before\n\n<!-- results -->")
    assert text.endswith("<!-- end of results -->\n\nAfter\n")
    assert "old" not in text
    assert f"| linear_probe | {bert_directory} |" in text
    steps = {
        path.parent.name: json.loads(path.read_text().splitlines()[0])["steps"]
        for path in (tmp_path / "out").glob("*/results.jsonl")
    }
    name = data_directory.name
    assert steps == {f"{name}-quick-more": 2, f"{name}-quick": 4}, "the last flagfile counts"
    timings = tmp_path / "out" / f"{name}-quick" / "timings.jsonl"
    taken = timings.read_bytes()
    status, out, err = run_cold(*command)
    assert status == 0, err
    assert "to go" not in out
    assert timings.read_bytes() == taken, "a study that had finished was done again"
    assert page.read_text() == text
    _check_ranking(
        ResultsFlags(
            data_dir=str(data_directory.parent),
            studies=(f"{name}:{config}",),
            output=str(tmp_path / "out"),
            table="ranking",
        ),
        tmp_path / "out" / f"{name}-quick",
    )


def _check_ranking(flags, directory):
    """Trivial answers are among the methods, and a study that kept none is refused."""
    lines = results._table(flags).splitlines()[2:]
    assert len(lines) == 4
    for answer in ("linear_probe", "bitfit", "majority", "chance"):
        assert sum(f"| accuracy | {answer} |" in line for line in lines) == 1
    plan = read_plan(epath.Path(directory))
    del plan["baselines"]
    write_sealed(epath.Path(directory / "plan.json"), plan)
    with pytest.raises(InputError, match="kept no scores of trivial answers"):
        results._table(flags)


def test_an_unknown_flagfile_names_the_presets(run_cold, tmp_path):
    command = ("results", f"--data_dir={tmp_path}", "--studies=sst2:quick")
    status, _, err = run_cold(*command)
    assert status == 2
    assert "results_encoder" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("status", [0, 7])
def test_an_interrupted_command_may_end_as_it_wants(tmp_path, status):
    code = f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path({str(tmp_path)!r}, "begun").touch()
time.sleep(0.3)
pathlib.Path({str(tmp_path)!r}, "saved").touch()
sys.exit({status})
"""

    def interrupt():
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    try:
        if status:
            assert results._status([sys.executable, "-c", code]) == status
        else:
            with pytest.raises(KeyboardInterrupt):
                results._status([sys.executable, "-c", code])
    finally:
        interrupter.join()
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "saved").exists()


def test_two_studies_in_one_directory_are_refused(tmp_path):
    files = [tmp_path / folder / "quick.flags" for folder in ("a", "b")]
    for file in files:
        file.parent.mkdir()
        file.write_text("")
    studies = tuple(f"trec:{file}" for file in files)
    with pytest.raises(InputError, match=r"would both be in .*trec-quick\. Give the flagfiles"):
        main(ResultsFlags(data_dir="", studies=studies, output=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()

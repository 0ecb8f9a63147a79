import pathlib
import runpy

from fsl_jax.studies.records.jsonl import write_records
from fsl_jax.studies.records.timings import Timing, append_timings

NOTEBOOK = pathlib.Path(__file__).parents[3] / "notebooks" / "study_results.py"


def test_the_notebook_runs_from_top_to_bottom(make_record, tmp_path, monkeypatch, capsys):
    records = [
        make_record(method=method, seed=seed, test=test, adapter=None)
        for method, tests in (("lora", (0.8, 0.9)), ("bitfit", (0.7, 0.75)))
        for seed, test in enumerate(tests)
    ]
    write_records(tmp_path / "results.jsonl", records)
    timing = Timing(
        program="00-lora", method="lora", model="tiny", compile=1.0, train=2.0, evaluate=3.0
    )
    append_timings(tmp_path / "timings.jsonl", [timing])
    monkeypatch.setenv("FSL_JAX_RESULTS", str(tmp_path))
    found = runpy.run_path(str(NOTEBOOK))
    assert [row.method for row in found["rows"]] == ["lora", "bitfit"]
    said = capsys.readouterr().out
    assert "lora with tiny is ahead of" in said
    assert "| bitfit | tiny | 12.5 |" in said

"""The files of a small study as a finished study leaves them, made without training."""

import os
import pathlib

import pytest
from etils import epath

from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.plan_file import describe_plan, write_plan
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.hashed_files import TIMINGS_FILE, HashedFiles
from fsl_jax.studies.records.result_store import ResultStore
from fsl_jax.studies.records.timings import Timing, append_timings
from fsl_jax.studies.reporting import report
from fsl_jax.studies.reporting.study_files import ReportOptions, write_study_files

CONFIG = StudyConfig(("tiny",), "fruits", "lora,zero_shot", 4, (1,), "1e-3")
OPTIONS = ReportOptions({"versions": {}}, ("a note",), "python -m experiments.study", 0.5)


class SmallStudy:
    """Two programs, their records, and the steps in which a study writes its files."""

    def __init__(self, directory, make_record):
        self.directory = epath.Path(directory)
        self.programs = plan_programs(CONFIG)
        trained = make_record(seed=1, adapter=None)
        self._records = [trained, make_record("untrained", method="zero_shot", seed=1)]

    def store(self):
        return ResultStore(self.directory, self.programs)

    def begin(self):
        models = {"tiny": {"the weights": "0" * 64}}
        data = {"sha256": "0" * 64}
        identity = describe_plan(CONFIG, OPTIONS.environment, data)
        write_plan(self.directory, identity, models, self.programs)

    def run(self):
        """Carry out the programs that have no records yet, and write the report."""
        store = self.store()
        for planned, record in zip(self.programs, self._records, strict=True):
            if not store.has(planned):
                timing = Timing(planned.name, record.method, "tiny", 0.5, 1.0, 0.25)
                append_timings(self.directory / TIMINGS_FILE, [timing])
                HashedFiles(self.directory).write({f"events/{planned.name}": b"curves"})
                store.write(planned, [record])
        return write_study_files(self.directory, store, OPTIONS)

    def contents(self):
        directory = pathlib.Path(self.directory)
        paths = (path for path in directory.rglob("*") if path.is_file())
        return {str(path.relative_to(directory)): path.read_bytes() for path in paths}

    def times(self):
        return {path: path.stat().st_mtime_ns for path in pathlib.Path(self.directory).rglob("*")}


@pytest.fixture
def small_study(tmp_path, make_record, monkeypatch):
    """Makes a small study in a directory of its own, quickly: small reports, nothing synced."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr(report, "plot_files", lambda *_, **__: {"accuracy.png": b"picture"})
    monkeypatch.setattr(report, "markdown", lambda *_, command, **__: f"Made by {command}")
    return lambda name="study": SmallStudy(tmp_path / name, make_record)

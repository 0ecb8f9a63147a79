import hashlib

import pytest
from etils import epath

from fsl_jax.adapt.files.adapter_layout import RECORD, TENSORS
from fsl_jax.adapt.files.adapter_record import AdapterRecord
from fsl_jax.studies.records.saved_adapters import adapter_problems

ADAPTER = "adapters/tiny/lora/seed_13"


@pytest.fixture
def saved(tmp_path):
    """A study's directory with an adapter, and the directory of the adapter."""
    adapter = tmp_path / ADAPTER
    adapter.mkdir(parents=True)
    (adapter / TENSORS).write_bytes(b"tensors")
    record = AdapterRecord(
        method="lora",
        base_model={"name": "tiny", "sha256": "0"},
        description={},
        trained={},
        versions={},
        sha256={TENSORS: hashlib.sha256(b"tensors").hexdigest()},
    )
    (adapter / RECORD).write_bytes(record.encode())
    return epath.Path(tmp_path), adapter


def test_an_intact_adapter_has_no_problems(saved, make_record):
    records = [make_record(adapter=ADAPTER), make_record("untrained"), make_record("failed")]
    assert adapter_problems(saved[0], records) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda path: (path / TENSORS).write_bytes(b"tensorz"), f"missing or changed: {TENSORS}"),
        (lambda path: (path / TENSORS).unlink(), f"missing or changed: {TENSORS}"),
        (lambda path: (path / RECORD).unlink(), f"{RECORD} is missing"),
        (lambda path: (path / RECORD).write_text("{"), "damaged: "),
        (lambda path: path.rename(path.parent / "elsewhere"), "missing"),
    ],
)
def test_damage_is_told_on_one_line(saved, make_record, damage, problem):
    directory, adapter = saved
    damage(adapter)
    (line,) = adapter_problems(directory, [make_record(adapter=ADAPTER)] * 2)
    assert line.startswith(f"{ADAPTER}: {problem}")
    assert "\n" not in line


@pytest.mark.parametrize("name", ["/etc", "adapters/../../up", "elsewhere"])
def test_directories_outside_of_the_study_are_not_opened(saved, make_record, name):
    (line,) = adapter_problems(saved[0], [make_record(adapter=name)])
    assert line == f"{name}: not a directory of this study"

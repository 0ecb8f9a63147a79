import dataclasses
import json

import pytest

from fsl_jax.adapt.files.adapter_layout import CONFIG, HEAD, TENSORS
from fsl_jax.adapt.files.adapter_record import (
    AdapterRecord,
    parse_record,
    read_config,
    read_record,
    versions,
)
from fsl_jax.errors import InputError
from fsl_jax.sealed_json import write_sealed
from tests.plugins.fuzzing import CASES, read_damaged

RECORD = AdapterRecord(
    method="lora(rank=2)",
    base_model={"name": "tiny", "sha256": "ab" * 32},
    description={"labels": ["bad", "good"]},
    trained={"layers/attention/query/lora_a": [3, 16, 2]},
    versions=versions(),
    sha256={CONFIG: "cd" * 32, TENSORS: "ef" * 32, HEAD: "01" * 32},
    base_files={"config.json": "23" * 32},
)


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "fsl_jax.json"
    assert read_record(path) is None
    path.write_bytes(RECORD.encode())
    assert read_record(path) == RECORD


def test_a_record_of_an_earlier_version_has_no_seal_and_fewer_hashes(tmp_path):
    values = dataclasses.asdict(RECORD)
    del values["base_files"], values["sha256"][CONFIG]
    (tmp_path / "fsl_jax.json").write_text(json.dumps(values, indent=2) + "\n")
    record = read_record(tmp_path / "fsl_jax.json")
    assert record.base_files is None
    assert list(record.sha256) == [TENSORS, HEAD]


@pytest.mark.parametrize(
    "name", ["../../x", "/dev/zero", "README.md", "fsl_jax.json", "", "a" * 999]
)
def test_only_files_of_an_adapter_may_be_listed(tmp_path, name):
    values = dataclasses.asdict(RECORD) | {"sha256": {name: "ab" * 32}}
    write_sealed(tmp_path / "fsl_jax.json", values)
    with pytest.raises(InputError, match=r"(?s)fsl_jax\.json: .*is no file of an adapter"):
        read_record(tmp_path / "fsl_jax.json")


def test_a_large_record_is_not_read(tmp_path):
    with (tmp_path / "fsl_jax.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="at most 4,194,304 are read"):
        read_record(tmp_path / "fsl_jax.json")


@pytest.mark.parametrize("cases", [CASES, pytest.param(20_000, marks=pytest.mark.soak)])
def test_damaged_records_are_refused(cases):
    unsealed = json.dumps(dataclasses.asdict(RECORD)).encode()
    seeds = [RECORD.encode(), unsealed]
    read_damaged(lambda data: parse_record(data, "fsl_jax.json"), seeds, cases)


def test_a_config_is_an_object(tmp_path):
    (tmp_path / CONFIG).write_text('{"peft_type": "LORA"}')
    assert read_config(tmp_path / CONFIG) == {"peft_type": "LORA"}
    (tmp_path / CONFIG).write_text("[" * 2000)
    with pytest.raises(InputError, match=r"adapter_config\.json: not valid JSON"):
        read_config(tmp_path / CONFIG)

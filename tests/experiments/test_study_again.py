"""A study given again: after damage and losses, with other files, from an earlier version."""

import json
import pathlib
import shutil

import pytest

from fsl_jax.errors import InputError
from fsl_jax.files import sha256
from fsl_jax.studies import run_programs
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.records.records import read_results
from fsl_jax.studies.running.options import RunOptions
from fsl_jax.studies.study import run_study

OPTIONS = RunOptions(command="python -m experiments.study", flagfile="--seeds=1\n")


@pytest.fixture(scope="module")
def begun(bert_directory, data_directory, tmp_path_factory):
    """A finished study in one directory with its model and its data, and its config."""
    directory = tmp_path_factory.mktemp("begun")
    shutil.copytree(bert_directory, directory / "bert")
    shutil.copytree(data_directory, directory / "data")
    config = StudyConfig(
        models=(str(directory / "bert"),),
        dataset=str(directory / "data"),
        methods="linear_probe,bitfit",
        shots=2,
        seeds=(1,),
        learning_rates="1e-2",
        steps="2",
        batch_size="2",
        max_test=4,
    )
    rows = run_study(config, directory / "out", OPTIONS)
    assert [len(row.runs) for row in rows] == [1, 1]
    return directory, config


@pytest.fixture
def again(begun, tmp_path, monkeypatch):
    """The study's output in a directory of this test, and a function that gives the study again."""
    directory, config = begun
    shutil.copytree(directory / "out", tmp_path / "out")
    compiled = []

    def compile_planned(study, planned):
        compiled.append(planned.name)
        return original(study, planned)

    original = run_programs.compile_planned
    monkeypatch.setattr(run_programs, "compile_planned", compile_planned)

    def run(study_config=config):
        return run_study(study_config, tmp_path / "out", OPTIONS)

    run.compiled = compiled
    return tmp_path / "out", run


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and "checkpoints" not in path.parts
    }


def bitfit_files(output: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The records of a program, and the adapter of its run."""
    (records,) = output.glob("programs/*bitfit.jsonl")
    return records, output / json.loads(records.read_text().splitlines()[0])["adapter"]


def test_records_and_plan_have_the_hashes_of_the_base_model(begun):
    directory, _ = begun
    plan = json.loads((directory / "out" / "plan.json").read_text())
    base = directory / "bert"
    expected = {name: sha256(base / name) for name in ("config.json", "tokenizer.json")}
    for record in read_results(directory / "out" / "results.jsonl"):
        assert expected.items() <= record.model_files.items()
        assert record.model_sha256 == sha256(base / "model.safetensors")
        weights = {"the weights": record.model_sha256}
        assert plan["models"] == {str(base): weights | record.model_files}


def test_a_changed_bit_in_any_file_is_refused_on_one_line(again):
    output, run = again
    files = contents(output)
    checked = {name for name in files if pathlib.Path(name).name not in ("flags.txt", "README.md")}
    for name in sorted(checked):
        data = bytearray(files[name])
        data[len(data) // 2] ^= 4
        (output / name).write_bytes(data)
        with pytest.raises(InputError) as refused:
            run()
        message = str(refused.value)
        assert "\n" not in message, message
        assert pathlib.Path(name).name in message or pathlib.Path(name).parent.name in message
        (output / name).write_bytes(files[name])
    assert len(checked) >= 15
    assert len(run()) == 2
    assert contents(output) == files


def test_lost_files_come_back_with_the_same_bytes(again):
    output, run = again
    files = contents(output)
    lost = ["results.jsonl", "summary.json", "report.md", "results_by_method.png", "flags.txt"]
    lost += [name for name in files if name.startswith("events/")]
    for name in lost:
        (output / name).unlink()
    assert len(run()) == 2
    assert contents(output) == files
    (output / ".staging-hashes.json-0").write_text("of a process that was killed at the very end")
    run()
    assert contents(output) == files
    assert run.compiled == []


def test_a_lost_adapter_is_told_and_comes_back_when_its_program_runs_again(again):
    output, run = again
    files = contents(output)
    records, adapter = bitfit_files(output)
    shutil.rmtree(adapter)
    (output / "results.jsonl").unlink()
    advice = f"missing. Put it back from a copy, or remove programs/{records.name} to train it"
    with pytest.raises(InputError, match=f"{adapter}: {advice} again"):
        run()
    assert (output / "results.jsonl").read_bytes() == files["results.jsonl"]
    records.unlink()
    assert len(run()) == 2
    assert run.compiled == [records.stem]
    changing = {"timings.jsonl", "summary.json", "report.md", "hashes.json"}
    after = contents(output)
    assert {name for name in files | after if files.get(name) != after.get(name)} <= changing


def test_emptied_records_are_refused_instead_of_a_table_without_the_method(again):
    output, run = again
    records, _ = bitfit_files(output)
    records.write_text("")
    with pytest.raises(InputError, match=r"bitfit\.jsonl: damaged; .* Remove it, and the same"):
        run()


@pytest.mark.parametrize("finished", [True, False])
def test_a_base_model_that_has_changed_is_refused_by_file(begun, again, finished):
    output, run = again
    if not finished:
        bitfit_files(output)[0].unlink()
    base = begun[0] / "bert"
    for name, shown in (
        ("config.json", "config.json"),
        ("tokenizer_config.json", "tokenizer_config.json"),
        ("model.safetensors", "the weights"),
    ):
        data = (base / name).read_bytes()
        other = data.replace(b"{", b"{ ", 1) if name.endswith(".json") else data[:-1] + b"\x01"
        (base / name).write_bytes(other)
        try:
            with pytest.raises(InputError, match=f"{base}: {shown} had the SHA-256"):
                run()
        finally:
            (base / name).write_bytes(data)
    assert run.compiled == []


def test_the_same_data_elsewhere_are_the_same_study_and_keep_their_name(begun, again, tmp_path):
    output, run = again
    results = (output / "results.jsonl").read_bytes()
    config = begun[1]
    shutil.copytree(config.dataset, tmp_path / "moved")
    moved = StudyConfig(**vars(config) | {"dataset": str(tmp_path / "moved")})
    bitfit_files(output)[0].unlink()
    assert {row.dataset for row in run(moved)} == {config.dataset}
    assert (output / "results.jsonl").read_bytes() == results
    with (tmp_path / "moved" / "train.jsonl").open("a") as file:
        file.write('{"text": "one more", "label": "sport"}\n')
    with pytest.raises(InputError, match=r"data\.sha256: there"):
        run(moved)


def as_first_version(output: pathlib.Path) -> None:
    """Rewrite the files of a study as the first version wrote them, without hashes."""
    (output / "hashes.json").unlink()
    plan = json.loads((output / "plan.json").read_text())
    first = {name: plan[name] for name in ("question", "environment", "data", "programs")}
    (output / "plan.json").write_text(json.dumps(first, indent=2) + "\n")
    for path in (*output.glob("programs/*.jsonl"), output / "results.jsonl"):
        lines = map(json.loads, path.read_text().splitlines())
        records = [line for line in lines if line.keys() != {"sha256"}]
        for record in records:
            del record["model_files"]
        path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_a_study_of_the_first_version_is_read_but_not_continued(again):
    output, run = again
    as_first_version(output)
    files = contents(output)
    assert len(run()) == 2
    assert contents(output) == files
    bitfit_files(output)[0].unlink()
    with pytest.raises(InputError, match=r"another version of fsl_jax began: .* format 1"):
        run()
    assert run.compiled == []

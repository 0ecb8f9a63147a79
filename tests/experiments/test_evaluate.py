"""Evaluating an adapter as a user does: from a command to files, or to a message."""

import json
import shutil

import jax
import pytest

import fsl_jax
from fsl_jax.adapt import LoRA, attach
from fsl_jax.adapt.files.adapter_files import save_adapter
from fsl_jax.adapt.files.adapter_layout import CONFIG, RECORD, TENSORS
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.formulations import HeadFormulation, Template, TemplateFormulation, Verbalizer


def save_lora(directory, model, formulate):
    """Saves a LoRA adapter of rank 2 as it starts out, for the task that `formulate` makes."""
    base = fsl_jax.load(str(model))
    formulation = formulate(base, ("money", "science", "sport"))
    params = formulation.prepare(base.params, jax.random.key(1))
    params, mask = attach(params, LoRA(rank=2), jax.random.key(2))
    trainable = {path: leaf for path, leaf in flatten(params).items() if flatten(mask)[path]}
    description = formulation.describe()
    save_adapter(directory, unflatten(trainable), LoRA(rank=2), base, description)
    return directory


def template(base, labels):
    return TemplateFormulation(base, labels, Template(), Verbalizer.from_mapping(labels))


@pytest.fixture(scope="module")
def lora_directory(bert_directory, tmp_path_factory):
    return save_lora(tmp_path_factory.mktemp("adapter"), bert_directory, HeadFormulation)


@pytest.fixture
def evaluate(run_to_end, tmp_path):
    """Runs the script to its end: status, output, errors."""

    def run(model, adapter, data, *flags, run_script=run_to_end):
        output = f"--output={tmp_path / 'out'}"
        required = (f"--model={model}", f"--adapter={adapter}", f"--dataset={data}")
        return run_script("evaluate", *required, output, *flags)

    return run


def test_the_script_prints_a_table_and_writes_the_files(
    evaluate, run_cold, lora_directory, bert_directory, data_directory, tmp_path
):
    status, out, err = evaluate(
        bert_directory, lora_directory, data_directory, "--max_test=12", run_script=run_cold
    )
    assert status == 0, err
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["method"].startswith("lora(rank=2, alpha=16.0")
    assert values["examples"] == 12
    accuracy = values["scores"]["accuracy"]
    assert f"accuracy {100 * accuracy:.1f} % of 12 examples" in out
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    predictions = [json.loads(line) for line in lines]
    hits = [each["answer"] == each["prediction"] for each in predictions]
    assert sum(hits) / len(hits) == accuracy


def test_all_rows_of_a_file_are_evaluated(evaluate, lora_directory, bert_directory, tmp_path):
    data = tmp_path / "money.csv"
    data.write_text("text,label\n" + "".join(f"w{number} w1,money\n" for number in range(9)))
    status, out, err = evaluate(bert_directory, lora_directory, data)
    assert status == 0, err
    assert out.startswith(f"Read all 9 rows of {data}. ")
    assert "of 9 examples" in out
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["examples"] == 9
    assert values["rows_read"] == out.splitlines()[0]


def test_an_adapter_that_peft_made_is_asked_through_a_template(
    evaluate, llama_directory, data_directory, tmp_path
):
    save_lora(tmp_path / "adapter", llama_directory, template)
    (tmp_path / "adapter" / RECORD).unlink()
    flags = ("--template={text}\\nTopic :", "--max_test=6")
    status, _, err = evaluate(llama_directory, tmp_path / "adapter", data_directory, *flags)
    assert status == 0, err
    described = json.loads((tmp_path / "out" / "evaluation.json").read_text())["formulation"]
    assert described["template"] == "{text}\nTopic :"
    assert described["labels"] == ["money", "science", "sport"]


def test_what_does_not_fit_is_said_without_a_traceback(
    evaluate, lora_directory, bert_directory, data_directory, tmp_path
):
    damaged = tmp_path / "damaged"
    shutil.copytree(lora_directory, damaged)
    (damaged / CONFIG).unlink()
    (damaged / TENSORS).write_bytes(b"")
    data = tmp_path / "data.csv"
    rows = "".join(
        f"some words {number},{'fun' if number % 2 else 'sport'}\n" for number in range(20)
    )
    data.write_text("text,label\n" + rows)
    for model, adapter, dataset, messages in (
        (bert_directory, damaged, data_directory, ["adapter_config.json: missing", "damaged"]),
        (bert_directory, lora_directory, data, ["labels 'money', 'science', 'sport'", "- 'fun'"]),
    ):
        status, out, err = evaluate(model, adapter, dataset)
        assert (status, out) == (2, "")
        assert "Traceback" not in err
        for message in messages:
            assert message in err
    assert not (tmp_path / "out").exists()

"""The files of an evaluation."""

import hashlib
import json

from fsl_jax.studies.evaluation.files import write_evaluation


def test_the_files_hold_all_of_it(fixed_evaluation, head_adapter, tmp_path, garden):
    write_evaluation(tmp_path / "out", fixed_evaluation, head_adapter)
    values = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert values["scores"]["accuracy"] == 0.6
    assert (values["task"], values["metric"]) == ("classification", "accuracy")
    assert values["method"] == "bitfit"
    assert values["model_sha256"] == "ab" * 32
    assert values["dataset_sha256"] == garden.sha256
    assert values["formulation"]["pooling"] == "last"
    by_class, confusion = values["tables"]
    assert by_class["columns"] == ["class", "precision", "recall", "F1", "support"]
    assert confusion["columns"] == ["correct", "fruit", "herb", "moss"]
    assert ["herb", 1, 1, 1] in confusion["rows"]
    assert values["truncated"] == 1
    assert values["cut_answers"] == 0
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert len(lines) == 5
    assert json.loads(lines[3]) == {
        "index": 3,
        "text_sha256": hashlib.sha256(garden.test[3].text.encode()).hexdigest(),
        "answer": "herb",
        "prediction": "moss",
        "probabilities": {"fruit": 0.1, "herb": 0.1, "moss": 0.8},
    }

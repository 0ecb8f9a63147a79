"""The files of an evaluation: `predictions.jsonl` and `evaluation.json`."""

import dataclasses

from etils import epath

from fsl_jax.adapt.methods.registry import format_method
from fsl_jax.files import write_json
from fsl_jax.studies.evaluation.evaluation import Evaluation
from fsl_jax.studies.planning.environment import describe as describe_environment
from fsl_jax.studies.records.jsonl import write_records

PREDICTIONS_FILE, EVALUATION_FILE = "predictions.jsonl", "evaluation.json"


def write_evaluation(
    output: epath.PathLike, evaluation: Evaluation, adapter: epath.PathLike, rows_read: str = ""
) -> None:
    """Write `predictions.jsonl` and then `evaluation.json`.

    Args:
      output: the directory to write to; it need not exist.
      evaluation: from `evaluate_adapter`.
      adapter: the directory of the adapter, as the user named it.
      rows_read: a sentence that says which rows of the data were read.
    """
    pretrained, dataset = evaluation.formulation.pretrained, evaluation.dataset
    directory = epath.Path(output)
    # Remove it first, so that a kill leaves no predictions beside another evaluation.
    (directory / EVALUATION_FILE).unlink(missing_ok=True)
    write_records(directory / PREDICTIONS_FILE, evaluation.predictions)
    values = {
        "model": pretrained.name,
        "model_sha256": pretrained.sha256,
        "adapter": str(adapter),
        "method": format_method(evaluation.adapter.method),
        "formulation": evaluation.formulation.describe(),
        "dataset": dataset.name,
        "dataset_sha256": dataset.sha256,
        "task": dataset.task,
        "metric": evaluation.task.metrics[0].name,
        "scores": evaluation.scores,
        "rows_read": rows_read,
        "examples": len(evaluation.examples),
        "truncated": evaluation.truncated,
        "cut_answers": evaluation.cut_answers,
        "tables": [dataclasses.asdict(table) for table in evaluation.tables],
        "environment": describe_environment(),
    }
    write_json(directory / EVALUATION_FILE, values)

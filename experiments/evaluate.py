"""Evaluate a saved adapter on a data set.

    python -m experiments.evaluate --model=minilm-l6 --dataset=bbc_headlines \
        --adapter=results/study/adapters/minilm-l6/lora/seed_13 --output=results/evaluation

prints accuracy and a line for each class, and writes `evaluation.json` and `predictions.jsonl` to
--output. All rows of a file are evaluated, and of a directory or an embedded data set its test set.
The adapter comes from a study, or from PEFT if its model is a decoder or if it brings a head that
classifies texts.
"""

import dataclasses

from experiments import command
from experiments.shared_flags import (
    OUTPUT_DIRECTORY,
    AdapterFlags,
    DatasetFlags,
    ModelFlags,
    bytes_of,
)
from fsl_jax.ranges import whole
from fsl_jax.studies.planning.flag_field import flag_field


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateFlags(ModelFlags, AdapterFlags, DatasetFlags):
    """The flags of this script."""

    output: str = flag_field(OUTPUT_DIRECTORY)
    batch_tokens: int = flag_field(
        "About the number of tokens to read at a time; a longer text is read alone.",
        1024,
        whole(1),
    )
    template: str | None = flag_field(
        "For an adapter from PEFT: a prompt with {text}; \\n is a new line.",
        None,
        escaped=True,
    )
    verbalizer: str | None = flag_field(
        "For an adapter from PEFT: a JSON object from labels to words.", None
    )


def main(flags: EvaluateFlags) -> None:
    """Evaluate the adapter, print the table and write the files."""
    from fsl_jax.outputs.checks import require_parts
    from fsl_jax.outputs.lock import hold_directory
    from fsl_jax.studies.evaluation.files import EVALUATION_FILE, PREDICTIONS_FILE

    with hold_directory(flags.output):
        require_parts(flags.output, (), (PREDICTIONS_FILE, EVALUATION_FILE))
        _evaluate(flags)


def _evaluate(flags: EvaluateFlags) -> None:
    from fsl_jax.data.readers.options import ReadOptions
    from fsl_jax.formulations.verbalizer import parse_verbalizer
    from fsl_jax.studies.evaluation.evaluate import evaluate_adapter
    from fsl_jax.studies.evaluation.files import write_evaluation
    from fsl_jax.studies.evaluation.rows import load_test_rows
    from fsl_jax.studies.planning.base_model import load_base
    from fsl_jax.tasks.given_columns import parse_columns, with_usual_roles

    verbalizer = None if flags.verbalizer is None else parse_verbalizer(flags.verbalizer)
    dataset, rows_read = load_test_rows(
        flags.dataset,
        with_usual_roles(parse_columns(flags.columns), flags.text_column, flags.label_column),
        ReadOptions(
            flags.encoding or None,
            flags.separator or None,
            max_unfolded=bytes_of(flags.max_unfolded_gib) or None,
        ),
    )
    evaluation = evaluate_adapter(
        load_base(flags.model, flags.dtype, attention=flags.attention, adapter=flags.adapter),
        flags.adapter,
        dataset,
        max_test=flags.max_test,
        batch_tokens=flags.batch_tokens,
        template=flags.template,
        verbalizer=verbalizer,
    )
    write_evaluation(flags.output, evaluation, flags.adapter, rows_read)
    print(f"{rows_read}\n\n{evaluation}")
    print(f"\nThe predictions are in {flags.output.rstrip('/')}/predictions.jsonl")


if __name__ == "__main__":
    command.run(main, EvaluateFlags)

"""How well does a saved adapter do on a data set?

    python -m experiments.evaluate --model=minilm-l6 --dataset=bbc_headlines \
        --adapter=results/study/adapters/minilm-l6/lora/seed_13 --output=results/evaluation

prints accuracy and a line for each class, and writes `evaluation.json` and `predictions.jsonl` to
--output. The adapter is one that a study saved, or one of a decoder that PEFT saved.
"""

from absl import app, flags

from experiments import session

_MODEL = flags.DEFINE_string(
    "model",
    None,
    "The base model: embedded name, Hugging Face id, directory or GGUF file.",
    required=True,
)
_ADAPTER = flags.DEFINE_string("adapter", None, "Directory of the adapter.", required=True)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "Embedded name, a directory with train.* and test.*, or one file.",
    required=True,
)
_OUTPUT = flags.DEFINE_string("output", None, "Directory to write to; may be gs://…", required=True)
_MAX_TEST = flags.DEFINE_integer("max_test", None, "Test examples at most; all if not given.")
_TEXT_COLUMN = flags.DEFINE_string("text_column", "text", "Where local data has its texts.")
_LABEL_COLUMN = flags.DEFINE_string("label_column", "label", "Where local data has its labels.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Examples that are read at a time.")
_DTYPE = flags.DEFINE_enum(
    "dtype",
    "auto",
    ["auto", "float32", "bfloat16"],
    "Of the base model; auto is float32 on a CPU and bfloat16 elsewhere.",
)
_ATTENTION = flags.DEFINE_enum(
    "attention",
    "auto",
    ["auto", "written_out", "xla", "cudnn"],
    "How attention is computed; auto is what was measured to be fastest on the platform.",
)
_MATMUL_PRECISION = flags.DEFINE_enum(
    "matmul_precision", "default", ["default", "high", "highest"], "Of matrix products."
)
_TEMPLATE = flags.DEFINE_string(
    "template", None, "For an adapter that PEFT made: a prompt with {text}; \\n is a new line."
)
_VERBALIZER = flags.DEFINE_string(
    "verbalizer", None, "For an adapter that PEFT made: JSON object from labels to words."
)


def main(arguments: list[str]) -> None:
    """Flags to the library, its answer to the terminal and to files."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    with session.reporting_errors():
        session.start(
            distributed=False, deterministic=False, matmul_precision=_MATMUL_PRECISION.value
        )
        # These import JAX, whose settings have to be made before.
        from fsl_jax.data.sources import load_dataset
        from fsl_jax.studies.evaluation import evaluate_adapter, write_evaluation
        from fsl_jax.studies.planning.base_model import load_base
        from fsl_jax.tasks.verbalizer import parse_verbalizer

        template, words = _TEMPLATE.value, _VERBALIZER.value
        dataset = load_dataset(
            _DATASET.value, text_column=_TEXT_COLUMN.value, label_column=_LABEL_COLUMN.value
        )
        evaluation = evaluate_adapter(
            load_base(_MODEL.value, _DTYPE.value, attention=_ATTENTION.value),
            _ADAPTER.value,
            dataset,
            max_test=_MAX_TEST.value,
            batch_size=_BATCH_SIZE.value,
            template=None if template is None else template.replace("\\n", "\n"),
            verbalizer=None if words is None else parse_verbalizer(words),
        )
        write_evaluation(_OUTPUT.value, evaluation, _ADAPTER.value)
        print(evaluation)
        print(f"\nThe predictions are in {_OUTPUT.value.rstrip('/')}/predictions.jsonl")


if __name__ == "__main__":
    app.run(main)

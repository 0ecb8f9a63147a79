"""Which way of using a pretrained language model works best on a handful of examples?

    python -m experiments.study --flagfile=experiments/configs/bbc_headlines_quick.flags

compares methods on the same few-shot splits, prints a table, and writes `report.md`,
`summary.json`, `results.jsonl`, plots and the selected adapters to --output. Given again, it goes
on where it was stopped, and does nothing once it has finished. With --dry_run it says what it would
do.
"""

import json
import shlex
import sys

from absl import app, flags

from experiments import session

_LIST = (
    "Entries with commas between them; `model:`, `method:` or `model:method:` before an entry says "
    "what it is for."
)

_MODELS = flags.DEFINE_list(
    "models", ["minilm-l6"], "Embedded names, Hugging Face ids, directories, or GGUF files."
)
_DATASET = flags.DEFINE_string(
    "dataset", "bbc_headlines", "Embedded name, a directory with train.* and test.*, or one file."
)
_METHODS = flags.DEFINE_string(
    "methods",
    "linear_probe,bitfit,lora",
    f"Methods, settings in parentheses: lora(rank=4). zero_shot and icl train nothing. {_LIST}",
)
_SHOTS = flags.DEFINE_integer("shots", 16, "Training examples per class; as many for validation.")
_SEEDS = flags.DEFINE_list("seeds", ["13", "21", "42", "87", "100"], "One split each.")
_LEARNING_RATES = flags.DEFINE_string(
    "learning_rates", "", f"To choose from on validation data; each method's own if empty. {_LIST}"
)
_WEIGHT_DECAY = flags.DEFINE_float("weight_decay", 0.0, "Weight decay of AdamW.")
_STEPS = flags.DEFINE_string("steps", "100", f"Optimiser steps of a run. {_LIST}")
_BATCH_SIZE = flags.DEFINE_string("batch_size", "8", f"Examples in a step. {_LIST}")
_EVALUATE_EVERY = flags.DEFINE_integer("evaluate_every", 10, "Steps between validations.")
_PATIENCE = flags.DEFINE_integer(
    "patience", 0, "End a run after so many validations without a better one; 0 never does."
)
_DROPOUT = flags.DEFINE_float("dropout", 0.0, "Dropout inside the model while training.")
_WARMUP = flags.DEFINE_float("warmup", 0.1, "Share of the steps in which the learning rate rises.")
_CLIP_NORM = flags.DEFINE_float("clip_norm", 1.0, "Largest global norm of a gradient.")
_MAX_TEST = flags.DEFINE_integer("max_test", None, "Test examples at most; all if not given.")
_MAX_LENGTH = flags.DEFINE_integer(
    "max_length", None, "Tokens of an example at most, in what trains."
)
_MAX_PROMPT_TOKENS = flags.DEFINE_integer(
    "max_prompt_tokens",
    2048,
    "Tokens of a prompt with its demonstrations at most, in what trains nothing.",
)
_FORMULATION = flags.DEFINE_string(
    "formulation", "auto", "head, template, or auto: a template for what has a decoder."
)
_POOLING = flags.DEFINE_string("pooling", "", "Of the head: mean, cls or last.")
_TEMPLATE = flags.DEFINE_string(
    "template", "{text}\\nTopic:", "A prompt with the field {text}; \\n is a new line."
)
_VERBALIZER = flags.DEFINE_string(
    "verbalizer", "", "JSON object from labels to words; a label stands for itself if not named."
)
_TEXT_COLUMN = flags.DEFINE_string("text_column", "text", "Where local data has its texts.")
_LABEL_COLUMN = flags.DEFINE_string("label_column", "label", "Where local data has its labels.")
_OUTPUT = flags.DEFINE_string("output", "results/study", "Directory to write to; may be gs://…")
_DTYPE = flags.DEFINE_string(
    "dtype", "auto", "Of the base model; auto is float32 on a CPU and bfloat16 elsewhere."
)
_ATTENTION = flags.DEFINE_string(
    "attention",
    "auto",
    "How attention is computed: written_out, xla, cudnn, or auto, which is what was measured to be "
    "fastest on the platform.",
)
_MATMUL_PRECISION = flags.DEFINE_string(
    "matmul_precision", "default", "Of matrix products: default, high or highest."
)
_REMATERIALIZE = flags.DEFINE_bool(
    "rematerialize",
    False,
    "Compute layers again for their gradient: a third more work, for memory of one layer.",
)
_RUNS_AXIS = flags.DEFINE_integer("mesh_runs", 1, "Groups of devices that runs are spread over.")
_BATCH_AXIS = flags.DEFINE_integer("mesh_batch", 1, "Groups that a batch is spread over.")
_MODEL_AXIS = flags.DEFINE_integer("mesh_model", 1, "Groups that weights are spread over.")
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Whether this is one of several processes with the same command; they find each other "
    "on TPU pods, Slurm and Kubernetes, and elsewhere by the three flags that follow.",
)
_COORDINATOR = flags.DEFINE_string("coordinator_address", None, "Host and port of process 0.")
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes there are.")
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "The number of this process, from 0.")
_DETERMINISTIC = flags.DEFINE_bool(
    "deterministic", False, "On a GPU, the same bits in each invocation, at some cost of speed."
)
_CHECKPOINT_SECONDS = flags.DEFINE_float(
    "checkpoint_seconds", 30.0, "At least this long between two checkpoints."
)
_MEMORY_LIMIT = flags.DEFINE_float(
    "memory_limit_gib", 0.0, "What a program may take on a device; most of what there is if 0."
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print programs, memory and time; run nothing.")
_FORECAST = flags.DEFINE_bool(
    "forecast", False, "Print about how many seconds each program takes, as JSON; compile nothing."
)


def main(arguments: list[str]) -> None:
    """Parses nothing more: flags to a config, the question to the library."""
    if len(arguments) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(arguments[1:])}")
    with session.reporting_errors():
        config = _config()
        session.start(
            _DISTRIBUTED.value,
            _DETERMINISTIC.value,
            _MATMUL_PRECISION.value,
            _COORDINATOR.value,
            _NUM_PROCESSES.value,
            _PROCESS_ID.value,
        )
        # These import JAX, whose settings have to be made before.
        from rich.console import Console

        from fsl_jax.processes import is_first
        from fsl_jax.studies.forecasting.dry_run import dry_run
        from fsl_jax.studies.reporting.table import terminal_table
        from fsl_jax.studies.study import run_study

        if _FORECAST.value:
            from fsl_jax.studies.forecasting.forecast import program_seconds

            seconds = program_seconds(config, _OUTPUT.value)
            if is_first():
                print(json.dumps(seconds))
            return
        if _DRY_RUN.value:
            told = dry_run(config, _OUTPUT.value, _options())
            if is_first():
                print(told)
            return
        rows = run_study(config, _OUTPUT.value, _options())
        if is_first():
            Console().print(terminal_table(rows))
            print(f"\nThe report is in {_OUTPUT.value.rstrip('/')}/report.md")


def _config():
    from fsl_jax.studies.planning.study_config import StudyConfig

    return StudyConfig(
        models=tuple(name.strip() for name in _MODELS.value if name.strip()),
        dataset=_DATASET.value,
        methods=_METHODS.value,
        shots=_SHOTS.value,
        seeds=_seeds(),
        learning_rates=_LEARNING_RATES.value,
        weight_decay=_WEIGHT_DECAY.value,
        steps=_STEPS.value,
        batch_size=_BATCH_SIZE.value,
        evaluate_every=_EVALUATE_EVERY.value,
        patience=_PATIENCE.value,
        dropout=_DROPOUT.value,
        warmup=_WARMUP.value,
        clip_norm=_CLIP_NORM.value,
        max_test=_MAX_TEST.value,
        max_length=_MAX_LENGTH.value,
        max_prompt_tokens=_MAX_PROMPT_TOKENS.value,
        formulation=_FORMULATION.value,
        pooling=_POOLING.value,
        template=_TEMPLATE.value.replace("\\n", "\n"),
        verbalizer=_VERBALIZER.value,
        text_column=_TEXT_COLUMN.value,
        label_column=_LABEL_COLUMN.value,
        dtype=_DTYPE.value,
        attention=_ATTENTION.value,
        matmul_precision=_MATMUL_PRECISION.value,
        rematerialize=_REMATERIALIZE.value,
        runs_axis=_RUNS_AXIS.value,
        batch_axis=_BATCH_AXIS.value,
        model_axis=_MODEL_AXIS.value,
    )


def _seeds() -> tuple[int, ...]:
    from fsl_jax.errors import InputError

    try:
        return tuple(int(seed) for seed in _SEEDS.value)
    except ValueError as error:
        raise InputError(f"--seeds: expected whole numbers, found {_SEEDS.value}") from error


def _options():
    from fsl_jax.studies.study import Options

    return Options(
        checkpoint_seconds=_CHECKPOINT_SECONDS.value,
        memory_limit=int(_MEMORY_LIMIT.value * 2**30),
        command=shlex.join(["python", "-m", "experiments.study", *sys.argv[1:]]),
        flagfile=session.flagfile("models"),
    )


if __name__ == "__main__":
    app.run(main)

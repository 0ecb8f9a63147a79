"""The config of a study: models, methods, data and training, as the user gave them."""

import dataclasses

from fsl_jax.errors import InputError
from fsl_jax.models.attention.implementations import AUTO, IMPLEMENTATIONS
from fsl_jax.ranges import (
    MAX_INT32,
    SEED,
    range_error,
    range_of,
    range_problems,
    real,
    whole,
)
from fsl_jax.studies.planning.flag_field import flag_field, flag_of, require_choices
from fsl_jax.studies.planning.scoped_list import parse_scoped_list
from fsl_jax.training.fit_config import FitConfig

FORMULATIONS = ("auto", "head", "template", "written")
DTYPES = ("auto", "float32", "bfloat16")
PRECISIONS = ("default", "high", "highest")
EVEN, RANDOM = BATCHES = ("even", "random")


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """Everything that decides the results of a study, and nothing else.

    Each field is a flag of `experiments/study.py`, and the help text of the flag describes it. A
    scoped list, whose entries may be for certain models and methods only, is stored as text; see
    `scoped_list`.

    Raises:
      InputError: a value is not among the choices, or values are out of range; the error names all
        of the latter.
    """

    models: tuple[str, ...] = flag_field(
        "Embedded names, Hugging Face ids, directories or GGUF files.", ("minilm-l6",)
    )
    dataset: str = flag_field(
        "Embedded name, a directory with train.* and test.*, or one file.", "bbc_headlines"
    )
    methods: str = flag_field(
        "Methods, with settings in parentheses: lora(rank=4). zero_shot and icl train nothing.",
        "linear_probe,bitfit,lora",
        scoped=True,
    )
    shots: int = flag_field(
        "Training examples per class, and as many for validation.", 16, whole(1)
    )
    seeds: tuple[int, ...] = flag_field(
        "Each seed draws a split, initial weights and an order of the batches.",
        (13, 21, 42, 87, 100),
        SEED,
    )
    learning_rates: str = flag_field(
        "Learning rates, one of which is chosen on validation data; if empty, each method's own.",
        "",
        real(above=0),
        scoped=True,
    )
    weight_decay: float = flag_field("Weight decay of AdamW.", 0.0, real(0))
    steps: str = flag_field(
        "Optimiser steps of a run.", "100", range_of(FitConfig, "steps"), scoped=True
    )
    batch_size: str = flag_field(
        "Examples in a step.", "8", range_of(FitConfig, "batch_size"), scoped=True
    )
    batches: str = flag_field(
        "How the examples of an epoch are dealt out: even is at random, but such that all batches "
        "are about equally long, so that little padding is computed; random ignores lengths.",
        EVEN,
        choices=BATCHES,
        kind="way to deal out batches",
    )
    evaluate_every: int = flag_field(
        "Steps between two validations.", 10, range_of(FitConfig, "evaluate_every")
    )
    patience: int = flag_field(
        "End a run after this many validations without a better one; 0 never does.",
        0,
        range_of(FitConfig, "patience"),
    )
    dropout: float = flag_field(
        "Dropout rate inside the model while training.", 0.0, range_of(FitConfig, "dropout")
    )
    warmup: float = flag_field(
        "Share of the steps in which the learning rate rises.",
        0.1,
        range_of(FitConfig, "warmup"),
    )
    clip_norm: float = flag_field(
        "Largest global norm of a gradient; a large one, such as 1e9, clips nothing.",
        1.0,
        range_of(FitConfig, "clip_norm"),
    )
    max_test: int | None = flag_field("Test examples at most; if not given, all.", None, whole(1))
    max_length: int | None = flag_field(
        "Tokens of an example at most, for methods that train; if not given, as many as the model "
        "takes.",
        None,
        whole(8),
    )
    max_prompt_tokens: int = flag_field(
        "Tokens of a prompt with its demonstrations at most, for methods that train nothing.",
        2048,
        whole(8),
    )
    formulation: str = flag_field(
        "How the task is put to the model: a head on hidden states, the label words after a "
        "template, or a written answer. auto is a template for a model with a decoder, where the "
        "method and the task allow it, and a head for all others. Methods that train nothing have "
        "no head: where there are no label words, the model writes.",
        "auto",
        choices=FORMULATIONS,
        kind="formulation",
    )
    pooling: str = flag_field(
        "Pooling of the head: mean, cls or last; if empty, the model's usual one.", ""
    )
    template: str = flag_field(
        "A prompt with fields such as {text} or {question}, the parts of an example; \\n is a new "
        "line. If empty, it is the usual one of the task.",
        "",
        escaped=True,
    )
    max_answer: int = flag_field("Tokens of a written answer at most.", 64, whole(1))
    verbalizer: str = flag_field(
        "JSON object from labels to words; a label that it does not name stands for itself.", ""
    )
    task: str = flag_field(
        "What the examples ask, such as classification or tagging; auto finds it out from the "
        "columns of the data.",
        "auto",
    )
    columns: str = flag_field(
        "The columns of local data by their role, such as text:review,label:stars; + joins several "
        "columns of a role. Those of other roles are found by their usual names.",
        "",
    )
    text_column: str = flag_field("Short for --columns=text:…", "")
    label_column: str = flag_field("Short for --columns=label:…", "")
    encoding: str = flag_field("Encoding of text files; if empty, it is found out.", "")
    separator: str = flag_field(
        "What separates the values of CSV and TSV files: comma, semicolon, tab or a character; if "
        "empty, it is found out.",
        "",
    )
    max_rows: int | None = flag_field(
        "Rows at most that are read of each part; if not given, all of files, and 200,000 of a "
        "hub.",
        None,
        whole(1),
    )
    skip_empty: bool = flag_field(
        "Pass over rows without text, which are an error otherwise.", False
    )
    normalize_labels: bool = flag_field(
        "Make one label of those that differ only in case, white space or Unicode form.", False
    )
    rematerialize: bool = flag_field(
        "Compute layers again for their gradient: a third more work, for the memory of one layer.",
        False,
    )
    attention: str = flag_field(
        "How attention is computed; auto is the implementation that was measured to be the fastest "
        "on the platform.",
        AUTO,
        choices=IMPLEMENTATIONS,
        kind="attention implementation",
    )
    dtype: str = flag_field(
        "Of the base model; auto is float32 on a CPU and bfloat16 elsewhere.",
        "auto",
        choices=DTYPES,
        kind="dtype",
    )
    matmul_precision: str = flag_field(
        "Precision of matrix products, as JAX names it.",
        "default",
        choices=PRECISIONS,
        kind="matmul precision",
    )
    runs_axis: int = flag_field(
        "Groups of devices that runs are spread over.", 1, whole(1, MAX_INT32), name="mesh_runs"
    )
    batch_axis: int = flag_field(
        "Groups of devices that a batch is spread over.", 1, whole(1, MAX_INT32), name="mesh_batch"
    )
    model_axis: int = flag_field(
        "Groups of devices that weights are spread over.", 1, whole(1, MAX_INT32), name="mesh_model"
    )

    def __post_init__(self):
        require_choices(self)
        if not self.models:
            raise InputError("no model: name at least one with --models")
        problems = [*range_problems(self), *self._list_problems(), *self._seed_problems()]
        if problems:
            raise range_error(problems)
        self._require_readable_texts()

    def _require_readable_texts(self) -> None:
        """Raise an error for a template or verbalizer that cannot be read, even if unused."""
        # Import here: the flags are shown without JAX.
        if self.template != type(self).template:
            from fsl_jax.formulations.template import Template

            Template(self.template)
        if self.verbalizer:
            from fsl_jax.formulations.verbalizer import parse_verbalizer

            parse_verbalizer(self.verbalizer)
        if self.columns:
            from fsl_jax.tasks.given_columns import parse_columns

            parse_columns(self.columns)
        if self.task != type(self).task:
            from fsl_jax.tasks.registry import find_task

            find_task(self.task)

    def _list_problems(self) -> list[str]:
        """List the problems of the numbers in scoped lists."""
        problems = []
        for field in dataclasses.fields(self):
            accepted, text = range_of(field), getattr(self, field.name)
            if not flag_of(field).scoped or accepted is None or not text:
                continue
            try:
                entries = parse_scoped_list(text, accepted.read, field.name).entries
                problems += [accepted.problem(field.name, entry.value) for entry in entries]
            except InputError as error:
                problems.append(str(error))
        return [problem for problem in problems if problem]

    def _seed_problems(self) -> list[str]:
        seeds = [seed for seed in self.seeds if not SEED.problem("seed", seed)]
        repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        return [
            *(f"seed {seed} is given twice" for seed in repeated),
            *([] if self.seeds else ["no seeds: give at least one"]),
        ]

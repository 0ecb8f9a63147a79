"""What a study asks: models, methods, data and settings, as a user gives them."""

import dataclasses

from fsl_jax.errors import InputError, problems_error, unknown_name
from fsl_jax.models.attention.self_attention import AUTO, IMPLEMENTATIONS

FORMULATIONS = ("auto", "head", "template")
DTYPES = ("auto", "float32", "bfloat16")
PRECISIONS = ("default", "high", "highest")


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """All that decides the results of a study, and nothing that does not.

    Lists whose entries may be for certain models and methods only are kept as they were written;
    see `qualified`.

    Attributes:
      models: names, as `fsl_jax.load` takes them.
      dataset: name or path, as `load_dataset` takes it.
      methods: list of methods, `zero_shot` and `icl` among them.
      shots: K, examples per class to train on, and as many to validate on.
      seeds: one split, initialisation and order of batches each.
      learning_rates: list; empty for each method's own.
      weight_decay: of AdamW.
      steps: list of one number; optimiser steps.
      batch_size: list of one number; examples a step.
      evaluate_every: steps between validations.
      patience: validations without a better one that end a run; 0 for none.
      dropout: rate inside the model while training.
      warmup: share of the steps over which the learning rate rises.
      clip_norm: the largest global norm of a gradient.
      max_test: test examples at most; None for all.
      max_length: tokens of an example at most, in what trains; None for as many as the model takes.
      max_prompt_tokens: tokens of a prompt with its demonstrations at most.
      formulation: `head`, `template`, or `auto`: a template for what has a decoder, where a method
        allows it.
      pooling: of the head; empty for the model's usual one.
      template: of prompts.
      verbalizer: JSON object from labels to words; empty for the labels themselves.
      text_column: of local data.
      label_column: of local data.
      rematerialize: whether layers are computed again for their gradient, to save memory.
      attention: how attention is computed, as `fsl_jax.load` takes it.
      dtype: of the base model; `auto` is float32 on a CPU and bfloat16 on accelerators.
      matmul_precision: of matrix products, as JAX names it.
      runs_axis: groups of devices that runs are spread over.
      batch_axis: groups of devices that the examples of a batch are spread over.
      model_axis: groups of devices that weights are spread over.
    """

    models: tuple[str, ...]
    dataset: str
    methods: str
    shots: int = 16
    seeds: tuple[int, ...] = (13, 21, 42, 87, 100)
    learning_rates: str = ""
    weight_decay: float = 0.0
    steps: str = "100"
    batch_size: str = "8"
    evaluate_every: int = 10
    patience: int = 0
    dropout: float = 0.0
    warmup: float = 0.1
    clip_norm: float = 1.0
    max_test: int | None = None
    max_length: int | None = None
    max_prompt_tokens: int = 2048
    formulation: str = "auto"
    pooling: str = ""
    template: str = "{text}\nTopic:"
    verbalizer: str = ""
    text_column: str = "text"
    label_column: str = "label"
    rematerialize: bool = False
    attention: str = AUTO
    dtype: str = "auto"
    matmul_precision: str = "default"
    runs_axis: int = 1
    batch_axis: int = 1
    model_axis: int = 1

    def __post_init__(self):
        for kind, value, known in (
            ("formulation", self.formulation, FORMULATIONS),
            ("attention implementation", self.attention, IMPLEMENTATIONS),
            ("dtype", self.dtype, DTYPES),
            ("matmul precision", self.matmul_precision, PRECISIONS),
        ):
            if value not in known:
                raise unknown_name(kind, value, known)
        if not self.models:
            raise InputError("no model: name at least one with --models")
        wrong = [
            f"{name} = {value}: expected {low} or more"
            for name, value, low in (
                ("shots", self.shots, 1),
                ("max_test", self.max_test or 1, 1),
                ("max_length", self.max_length or 8, 8),
                ("max_prompt_tokens", self.max_prompt_tokens, 8),
                ("weight_decay", self.weight_decay, 0),
            )
            if value < low
        ]
        wrong += [f"seed {seed}: seeds are not negative" for seed in self.seeds if seed < 0]
        twice = {seed for seed in self.seeds if self.seeds.count(seed) > 1}
        wrong += [f"seed {seed} is given twice" for seed in sorted(twice)]
        wrong += [] if self.seeds else ["no seeds: give at least one"]
        if wrong:
            raise problems_error("settings out of range:", wrong)

"""Soft prompts trained together: snapshots during training, and the value of each position."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.methods.prompt_tuning import PREFIX_POSITION, PromptTuning
from fsl_jax.adapt.parts.soft_prompt import PROMPT
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.data.examples import Dataset, Example
from fsl_jax.errors import InputError
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.processes import to_host
from fsl_jax.studies.planning.plan import plan_programs
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.studies.running.prepare import Prepared, prepare
from fsl_jax.training.fit_loop import fit
from fsl_jax.training.predictor import Predictor
from fsl_jax.training.program import compile_program
from fsl_jax.training.state import FitState

_MASK = f"{PROMPT}_mask"


@dataclasses.dataclass(frozen=True, eq=False)
class TrainedPrompts:
    """The soft prompts of N runs of one program.

    Attributes:
      prepared: the program's data, formulation and stacked parameters.
      steps: the number of optimiser steps before each snapshot, from 0.
      prompts: the snapshots, float32 `[S, N, P, D]`; shorter prompts are padded with zeros.
      last: the trained leaves after the last step, `[N, ...]`.
      losses: training loss by step, `[N, steps]`.
    """

    prepared: Prepared
    steps: tuple[int, ...]
    prompts: Float[np.ndarray, "S N P D"]
    last: Params
    losses: Float[np.ndarray, "N steps"]

    @property
    def starts(self) -> tuple[str, ...]:
        """The start of each prompt."""
        methods = [run.method for run in self.prepared.planned.runs]
        return tuple(each.start for each in methods if isinstance(each, PromptTuning))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run."""
        return tuple(run.seed for run in self.prepared.planned.runs)


@dataclasses.dataclass(frozen=True, eq=False)
class Removals:
    """The accuracy of N adapted models on the same examples, from 0 to 1.

    Attributes:
      whole: with the whole prompt, `[N]`.
      without: without one position, `[N, P]`; NaN at positions beyond the end of a shorter prompt.
      none: without the prompt, `[N]`.
    """

    whole: Float[np.ndarray, " N"]
    without: Float[np.ndarray, "N P"]
    none: Float[np.ndarray, " N"]


def train_prompts(config: StudyConfig, pretrained: Pretrained, dataset: Dataset) -> TrainedPrompts:
    """Train soft prompts together, and keep a snapshot of them after each dispatch.

    On a CPU a dispatch is a step; elsewhere it ends at a validation.

    Args:
      config: the config with the runs: `prompt_tuning` methods, seeds and learning rates for one
        model.
      pretrained: the model.
      dataset: the data.

    Returns:
      The prompts.

    Raises:
      InputError: a method is not `prompt_tuning`, or the runs do not fit into one program.
    """
    prepared = prepare(_planned(config), pretrained, dataset, config)
    stack, fit_config, runs = prepared.stack, prepared.fit_config, prepared.runs
    count = len(prepared.planned.runs)
    pool = jax.tree.map(jnp.asarray, prepared.encoded.pool)
    program = compile_program(
        prepared.formulation,
        stack.method,
        fit_config,
        count,
        stack.trainable,
        runs,
        stack.shared,
        pool,
    )
    steps, prompts = [0], [_prompts(stack.trainable)]

    def after_dispatch(state: FitState, last: bool) -> None:
        steps.append(int(state.step))
        prompts.append(_prompts(state.runs.trainable))

    state, runs = program.place(stack.trainable, runs, count, fit_config)
    state = fit(program, state, runs, stack.shared, pool, fit_config, after_dispatch)
    last, losses = to_host((state.runs.trainable, state.runs.losses))
    return TrainedPrompts(prepared, tuple(steps), np.stack(prompts), last, losses)


def accuracies_without(
    trained: TrainedPrompts, examples: tuple[Example, ...], batch_tokens: int = 256
) -> Removals:
    """Evaluate the trained models after removing positions of their prompts.

    A position is removed through its entry in `prompt_mask`: nothing attends to it, and all later
    positions move up, as if the prompt were shorter. Nothing is trained again.

    Args:
      trained: N prompts of length P.
      examples: E examples.
      batch_tokens: about the number of tokens that each of N * (P + 2) models reads at a time.

    Returns:
      The accuracies.
    """
    stack, formulation = trained.prepared.stack, trained.prepared.formulation
    frozen_leaves = flatten(to_host(stack.frozen_leaves))
    mask = frozen_leaves[_MASK]
    masks = np.concatenate([mask[None], _without_each(mask), np.zeros_like(mask)[None]])
    rows = np.tile(np.arange(len(mask)), len(masks))
    leaves = {path: leaf[rows] for path, leaf in frozen_leaves.items() if leaf is not None}
    leaves[_MASK] = masks.reshape(len(rows), -1)
    models = dataclasses.replace(
        stack.models,
        trainable=jax.tree.map(lambda leaf: leaf[rows], trained.last),
        frozen_leaves=unflatten(dict.fromkeys(frozen_leaves) | leaves),
    )
    predictor = Predictor(formulation, models, batch_tokens=batch_tokens)
    expected = np.array([example.answer for example in examples], object)
    found = np.array(predictor.predict(examples).answers, object)
    accuracies = (found == expected[None]).mean(axis=1).reshape(len(masks), -1)
    without = np.where(mask > 0, accuracies[1:-1].T, np.nan)
    return Removals(accuracies[0], without, accuracies[-1])


def _planned(config: StudyConfig) -> PlannedProgram:
    programs = plan_programs(config)
    methods = {run.method_text: run.method for program in programs for run in program.runs}
    others = [method for method in methods.values() if not _is_before(method)]
    if others or len(programs) != 1:
        raise InputError(
            f"expected runs of prompt_tuning that one program can train, found {len(programs)} "
            f"programs of {', '.join(sorted(methods))}: name one model, one number of steps and "
            "one batch size, and prompt_tuning alone, before the text"
        )
    return programs[0]


def _is_before(method: Method) -> bool:
    return isinstance(method, PromptTuning) and method.position == PREFIX_POSITION


def _prompts(trainable: Params) -> Float[np.ndarray, "N P D"]:
    """Copy the prompts, since the next dispatch reuses their memory."""
    return np.array(to_host(flatten(trainable)[PROMPT]))


def _without_each(mask: Float[np.ndarray, "N P"]) -> Float[np.ndarray, "P N P"]:
    length = mask.shape[1]
    return mask[None] * (1 - np.eye(length, dtype=mask.dtype))[:, None, :]

"""Prepare the arrays of a planned program: splits, tokens, stacked parameters."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.data.sampling import batch_order
from fsl_jax.data.splits import few_shot_split
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.formulations import make_formulation
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.tasks.encoding import Encoded, encode
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.training.fit_config import FitConfig, longest_dispatch
from fsl_jax.training.stacked_runs import StackedRuns, run_key, stack_runs
from fsl_jax.training.state import Runs

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that a program needs besides its compiled function.

    Attributes:
      planned: the program in the plan.
      formulation: turns examples into tokens and class logits.
      fit_config: the config of the training, which all runs share.
      stack: the parameters of all runs.
      runs: the arrays that differ between the runs.
      encoded: the train and validation examples of all splits, each once.
    """

    planned: PlannedProgram
    formulation: Formulation
    fit_config: FitConfig
    stack: StackedRuns
    runs: Runs
    encoded: Encoded


def prepare(
    planned: PlannedProgram,
    pretrained: Pretrained,
    dataset: Dataset,
    config: StudyConfig,
    stacking: Callable[..., StackedRuns] = stack_runs,
) -> Prepared:
    """Draw the splits of a program's runs, tokenise their texts, and stack their parameters.

    Args:
      planned: the program.
      pretrained: its model.
      dataset: the data.
      config: the study's config.
      stacking: `stack_runs`, or `stack_shapes` if the shapes of the parameters are enough.

    Returns:
      The arrays, on the host or on one device.
    """
    methods = [run.method for run in planned.runs]
    formulation = make_formulation(
        planned.formulation,
        pretrained,
        dataset.labels,
        config,
        reserved_positions=max(method.positions for method in methods),
    )
    fit_config = make_fit_config(planned, config)
    seeds = [run.seed for run in planned.runs]
    splits = {seed: few_shot_split(dataset, config.shots, seed) for seed in dict.fromkeys(seeds)}
    pool = _pool(list(splits.values()))
    encoded = encode(formulation, list(pool))
    batch = {name: jnp.asarray(array[:1]) for name, array in encoded.arrays.items()}
    stack = stacking(
        formulation,
        pretrained.params,
        methods,
        seeds,
        lambda params: formulation.logits(params, batch),
    )
    runs = _runs(planned, fit_config, splits, pool, config, stack)
    return Prepared(planned, formulation, fit_config, stack, runs, encoded)


def make_fit_config(planned: PlannedProgram, config: StudyConfig) -> FitConfig:
    """Return the training config that all runs of a program share."""
    return FitConfig(
        steps=planned.steps,
        batch_size=planned.batch_size,
        evaluate_every=min(config.evaluate_every, planned.steps),
        warmup=config.warmup,
        clip_norm=config.clip_norm,
        patience=config.patience,
        dropout=config.dropout,
        longest_dispatch=longest_dispatch(),
        rematerialize=config.rematerialize,
    )


def _pool(splits: Sequence[Split]) -> dict[Example, int]:
    """Give each example of the splits one row, even if it is in several splits."""
    examples = [example for split in splits for example in (*split.train, *split.validation)]
    return {example: row for row, example in enumerate(dict.fromkeys(examples))}


def _runs(
    planned: PlannedProgram,
    fit_config: FitConfig,
    splits: dict[int, Split],
    pool: dict[Example, int],
    config: StudyConfig,
    stack: StackedRuns,
) -> Runs:
    """Stack the arrays that differ between the runs."""
    orders, validations = [], []
    for run in planned.runs:
        split = splits[run.seed]
        train = np.array([pool[example] for example in split.train], np.int32)
        order = batch_order(run.seed, len(train), fit_config.batch_size, fit_config.steps)
        orders.append(train[order])
        validations.append([pool[example] for example in split.validation])
    rows, weight = chunked(np.array(validations, np.int32), fit_config.evaluation_batch)
    return Runs(
        frozen_leaves=stack.frozen_leaves,
        learning_rate=jnp.array([run.learning_rate for run in planned.runs], jnp.float32),
        weight_decay=jnp.full(len(planned.runs), config.weight_decay, jnp.float32),
        key=jnp.stack([run_key(run.seed) for run in planned.runs]),
        order=jnp.asarray(np.stack(orders)),
        validation=jnp.asarray(rows),
        weight=jnp.asarray(weight),
        rate_factors=stack.rate_factors,
    )


def chunked(rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut rows into chunks of equal size, as few as possible with as little padding as possible.

    Args:
      rows: int32 `[N, m]`.
      size: the largest chunk.

    Returns:
      The rows `[N, chunks, b]`, the last one repeated to fill the last chunk, and float32 weights
      of the same shape: 1 for each row, and 0 for each repetition.
    """
    count = rows.shape[1]
    chunks = -(-count // size)
    width = -(-count // chunks)
    columns = np.arange(chunks * width)
    filled = rows[:, np.minimum(columns, count - 1)]
    weight = np.broadcast_to((columns < count).astype(np.float32), filled.shape)
    shape = (len(rows), chunks, width)
    return filled.reshape(shape), weight.reshape(shape)


def slice_runs(tree: Tree, group: range) -> Tree:
    """Take the runs of a group from a tree whose leaves have the runs on their first axis."""
    return jax.tree.map(lambda leaf: leaf[group.start : group.stop], tree)

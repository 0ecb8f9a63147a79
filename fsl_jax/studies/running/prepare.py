"""From a planned program to arrays: splits, tokens, stacked parameters."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from fsl_jax.adapt.methods.registry import parse_method
from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.data.sampling import batch_order
from fsl_jax.data.splits import few_shot_split
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.studies.planning.formulations import make_formulation
from fsl_jax.studies.planning.plan import PlannedProgram
from fsl_jax.studies.planning.study_config import StudyConfig
from fsl_jax.tasks.encoding import Encoded, encode
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.training.fit_config import FitConfig, longest_dispatch
from fsl_jax.training.stack import Stack, run_key, stack_runs
from fsl_jax.training.state import Runs

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """All that a program needs but its compiled function.

    Attributes:
      planned: what was planned.
      formulation: how examples become tokens and class logits.
      fit_config: of the training, shared by all runs.
      stack: the parameters of all runs.
      runs: what differs between the runs.
      encoded: the train and validation examples of all splits, each once.
    """

    planned: PlannedProgram
    formulation: Formulation
    fit_config: FitConfig
    stack: Stack
    runs: Runs
    encoded: Encoded


def prepare(
    planned: PlannedProgram,
    pretrained: Pretrained,
    dataset: Dataset,
    config: StudyConfig,
    stacking: Callable[..., Stack] = stack_runs,
) -> Prepared:
    """Draws the splits of a program's runs, reads their texts, and stacks their parameters.

    Args:
      planned: the program.
      pretrained: its model.
      dataset: the data.
      config: the study's settings.
      stacking: `stack_shapes` where the shapes of the parameters are enough.

    Returns:
      The arrays, on the host or on one device.
    """
    methods = [parse_method(run.method) for run in planned.runs]
    formulation = make_formulation(
        planned.formulation,
        pretrained,
        dataset.labels,
        config,
        reserved_positions=max(method.positions for method in methods),
    )
    fit_config = make_fit_config(planned, config)
    splits = {seed: few_shot_split(dataset, config.shots, seed) for seed in _seeds(planned)}
    pool = _pool(list(splits.values()))
    encoded = encode(formulation, list(pool))
    batch = {name: jnp.asarray(array[:1]) for name, array in encoded.arrays.items()}
    stack = stacking(
        formulation,
        pretrained.params,
        methods,
        [run.seed for run in planned.runs],
        lambda params: formulation.logits(params, batch),
    )
    runs = _runs(planned, fit_config, splits, pool, config, stack)
    return Prepared(planned, formulation, fit_config, stack, runs, encoded)


def make_fit_config(planned: PlannedProgram, config: StudyConfig) -> FitConfig:
    """The training configuration that all runs of a program share."""
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


def _seeds(planned: PlannedProgram) -> list[int]:
    return list(dict.fromkeys(run.seed for run in planned.runs))


def _pool(splits: Sequence[Split]) -> dict[Example, int]:
    """The row of each example that any split uses; one that several use has one row."""
    examples = [each for split in splits for each in (*split.train, *split.validation)]
    return {example: row for row, example in enumerate(dict.fromkeys(examples))}


def _runs(
    planned: PlannedProgram,
    fit_config: FitConfig,
    splits: dict[int, Split],
    pool: dict[Example, int],
    config: StudyConfig,
    stack: Stack,
) -> Runs:
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
    """Cuts rows into chunks of one size, as few as possible and as even.

    Args:
      rows: int32 `[N, m]`.
      size: the largest chunk.

    Returns:
      The rows `[N, chunks, b]`, the last one repeated to fill the last chunk, and a float32 weight
      of the same shape: 1 for each that counts and 0 for each repeated one.
    """
    count = rows.shape[1]
    chunks = -(-count // size)
    width = -(-count // chunks)
    places = np.arange(chunks * width)
    filled = rows[:, np.minimum(places, count - 1)]
    weight = np.broadcast_to((places < count).astype(np.float32), filled.shape)
    shape = (len(rows), chunks, width)
    return filled.reshape(shape), weight.reshape(shape)


def slice_runs(tree: Tree, group: range) -> Tree:
    """The runs of a group, out of anything that has the runs on its first axis."""
    return jax.tree.map(lambda leaf: leaf[group.start : group.stop], tree)

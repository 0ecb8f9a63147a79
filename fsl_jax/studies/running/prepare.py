"""Prepare the arrays of a planned program: splits, tokens, stacked parameters."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from fsl_jax.data.examples import Dataset, Example, Split
from fsl_jax.data.sampling import batch_order
from fsl_jax.formulations.batches import unpacked_batch
from fsl_jax.formulations.encoding import Encoded, encode
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.formulations.slot_lengths import slot_lengths
from fsl_jax.models.pretrained import Pretrained
from fsl_jax.packing.padding import padding, step_tokens
from fsl_jax.packing.placements import Placements
from fsl_jax.packing.planning import place_chunks, place_steps
from fsl_jax.packing.pool import Pool
from fsl_jax.processes import to_host
from fsl_jax.studies.planning.formulations import make_formulation
from fsl_jax.studies.planning.programs import PlannedProgram
from fsl_jax.studies.planning.study_config import EVEN, StudyConfig
from fsl_jax.tasks.splitting import few_shot_split
from fsl_jax.training.caching import REPRESENTATION, cached_name
from fsl_jax.training.fit_config import FitConfig, longest_dispatch
from fsl_jax.training.stacked_runs import StackedRuns, run_key, stack_runs
from fsl_jax.training.state import Runs

Tree = TypeVar("Tree")


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Everything that a program needs besides its compiled function.

    Attributes:
      planned: the program in the plan.
      formulation: says how the model is asked.
      fit_config: the config of the training, which all runs share.
      stack: the parameters of all runs.
      runs: the arrays that differ between the runs.
      encoded: the train and validation examples of all splits, each once.
      in_slots: the number of tokens of each of their segments in its slot.
    """

    planned: PlannedProgram
    formulation: Formulation
    fit_config: FitConfig
    stack: StackedRuns
    runs: Runs
    encoded: Encoded
    in_slots: np.ndarray

    @property
    def step_tokens(self) -> int:
        """The tokens that a step of one run computes; 0 if all representations are cached."""
        cached = cached_name(self.stack.mask) == REPRESENTATION
        return 0 if cached else step_tokens(self.runs.training.shape, self.slot_width)

    @property
    def padding(self) -> float:
        """The share of padding in the tokens of all steps."""
        pool, training = self.encoded.pool, to_host(self.runs.training)
        lengths = (pool.lengths + self.in_slots).reshape(-1, pool.width)
        of_examples = lengths.sum(axis=1, dtype=np.int32)
        return round(padding(of_examples, training, slot_width=self.slot_width).share, 4)

    @property
    def slot_width(self) -> int:
        """The number of tokens in each slot; 0 if there are none."""
        return int(self.in_slots.max(initial=0))


def prepare(
    planned: PlannedProgram,
    pretrained: Pretrained,
    dataset: Dataset,
    config: StudyConfig,
    stacking: Callable[..., StackedRuns] = stack_runs,
    mesh: Mesh | None = None,
) -> Prepared:
    """Draw the splits of a program's runs, tokenise their texts, and stack their parameters.

    Args:
      planned: the program.
      pretrained: its model.
      dataset: the data.
      config: the study's config.
      stacking: `stack_runs`, or `stack_shapes` if the shapes of the parameters are enough.
      mesh: the mesh, over whose axis `batch` the rows of a step are sharded.

    Returns:
      The arrays, on the host or on one device.
    """
    methods = [run.method for run in planned.runs]
    formulation = make_formulation(
        planned.formulation,
        pretrained,
        dataset,
        config,
        reserved_positions=max(method.positions for method in methods),
    )
    fit_config = make_fit_config(planned, config)
    seeds = [run.seed for run in planned.runs]
    splits = {seed: few_shot_split(dataset, config.shots, seed) for seed in dict.fromkeys(seeds)}
    numbers = _numbers(list(splits.values()))
    examples = list(numbers)
    one = formulation.tokenize(examples[:1])
    stack = stacking(
        formulation,
        pretrained.params,
        methods,
        seeds,
        lambda params: formulation.outputs(
            params,
            unpacked_batch(formulation.segments(params, one.tokens), features=one.features),
        ),
    )
    shapes = stack.models.shapes
    encoded = encode(formulation, examples, shapes)
    in_slots = slot_lengths(formulation, shapes, encoded.pool)
    options = {
        "multiple": 1 if mesh is None else mesh.shape["batch"],
        "slot_width": int(in_slots.max(initial=0)),
        "width": encoded.pool.width,
    }
    steps = _place(planned, fit_config, splits, numbers, encoded.pool, config, options)
    runs = _runs(planned, config, stack, *steps)
    return Prepared(planned, formulation, fit_config, stack, runs, encoded, in_slots)


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


def _numbers(splits: Sequence[Split]) -> dict[Example, int]:
    """Number the examples of the splits, each once, even if it is in several splits."""
    examples = [example for split in splits for example in (*split.train, *split.validation)]
    return {example: number for number, example in enumerate(dict.fromkeys(examples))}


def _place(
    planned: PlannedProgram,
    fit_config: FitConfig,
    splits: Mapping[int, Split],
    numbers: Mapping[Example, int],
    pool: Pool,
    config: StudyConfig,
    options: Mapping[str, int],
) -> tuple[Placements, Placements]:
    """Draw the examples of each step of each run, and place them and those to validate on."""
    steps: dict[int, np.ndarray] = {}
    for seed, split in splits.items():
        train = np.array([numbers[example] for example in split.train], np.int32)
        known = pool.example_lengths[train] if config.batches == EVEN else np.ones_like(train)
        order = batch_order(seed, known, fit_config.batch_size, fit_config.steps)
        steps[seed] = train[order]
    validation = {
        seed: np.array([numbers[example] for example in split.validation], np.int32)
        for seed, split in splits.items()
    }
    training = place_steps(
        pool.lengths, np.stack([steps[run.seed] for run in planned.runs]), **options
    )
    chunks = place_chunks(pool.lengths, [validation[run.seed] for run in planned.runs], **options)
    return training, chunks


def _runs(
    planned: PlannedProgram,
    config: StudyConfig,
    stack: StackedRuns,
    training: Placements,
    validation: Placements,
) -> Runs:
    """Stack what differs between the runs."""
    return Runs(
        frozen_leaves=stack.frozen_leaves,
        learning_rate=jnp.array([run.learning_rate for run in planned.runs], jnp.float32),
        weight_decay=jnp.full(len(planned.runs), config.weight_decay, jnp.float32),
        key=jnp.stack([run_key(run.seed) for run in planned.runs]),
        training=jax.tree.map(jnp.asarray, training),
        validation=jax.tree.map(jnp.asarray, validation),
        rate_factors=stack.rate_factors,
    )


def slice_runs(tree: Tree, group: range) -> Tree:
    """Take the runs of a group from a tree whose leaves have the runs on their first axis."""
    return jax.tree.map(lambda leaf: leaf[group.start : group.stop], tree)

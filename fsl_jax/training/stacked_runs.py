"""Stack the parameters of runs that share a program, and take out the leaves of single runs."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fsl_jax.adapt.attach import attach
from fsl_jax.adapt.mask import mask_from_rules
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import partition
from fsl_jax.adapt.parts.patterns import find
from fsl_jax.adapt.summary import Summary, count_parameters, summarise
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.formulations.formulation import Formulation
from fsl_jax.seeds import seed_key
from fsl_jax.training.adapted_models import AdaptedModels

Forward = Callable[[Params], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class StackedRuns:
    """The parameters of N runs in three trees; each leaf is in one and `None` in the others.

    Attributes:
      trainable: trainable leaves `[N, ...]`, padded with zeros to the largest run.
      frozen_leaves: frozen leaves that differ between runs, `[N, ...]`, padded in the same way.
      shared: the frozen base, held once for all runs.
      mask: True where a leaf is trainable.
      method: the method of the first run. It is the same in all runs, except for leaves.
      shapes: for each run, the shapes of its trainable leaves before padding, by path.
      summary: a summary of the trainable leaves of the first run.
      rate_factors: a factor for the learning rate of each trainable leaf, a tree of `[N]`; an empty
        tuple if all factors are 1.
    """

    trainable: Params
    frozen_leaves: Params
    shared: Params
    mask: Params
    method: Method
    shapes: tuple[dict[str, tuple[int, ...]], ...]
    summary: Summary
    rate_factors: Params | tuple[()] = ()

    @property
    def models(self) -> AdaptedModels:
        """The models of the runs."""
        return AdaptedModels(self.method, self.trainable, self.frozen_leaves, self.shared)

    def total_parameters(self, run: int) -> int:
        """Count the parameters of one run's model, without the frozen leaves that a run has."""
        return count_parameters(_shapes(self.shared)) + count_parameters(self.shapes[run])

    def run_leaves(self, stacked: Params, run: int) -> Params:
        """Take the leaves of one run, without padding, out of leaves stacked like `trainable`."""
        leaves = _present(stacked)
        return unflatten(
            {
                path: leaves[path][(run, *map(slice, shape))]
                for path, shape in self.shapes[run].items()
            }
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Run:
    """The parameters of one run before stacking."""

    trainable: Params
    frozen_leaves: Params
    shared: Params
    mask: Params
    summary: Summary


def stack_runs(
    formulation: Formulation,
    base: Params,
    methods: Sequence[Method],
    seeds: Sequence[int],
    forward: Forward | None = None,
) -> StackedRuns:
    """Draw and stack the parameters of runs that share a tree structure.

    Args:
      formulation: the formulation, which may add a head.
      base: the parameters of the pretrained model.
      methods: the method of each run; runs may differ in settings such as the rank.
      seeds: the seed of each run, for drawing its new parameters.
      forward: a function of the parameters, which is traced for the first run. It must read each
        added leaf; leaves of the base that it does not read stay frozen. None skips this check.

    Returns:
      The stacked runs.
    """
    words = formulation.initial_words
    methods = [method.resolve(formulation.pretrained, words) for method in methods]
    first = _draw_run(formulation, base, methods[0], seeds[0], forward)
    others = zip(methods[1:], seeds[1:], strict=True)
    # All runs have the mask of the first, so the model is traced once.
    runs = [first, *(_draw_run(formulation, base, *other, first=first) for other in others)]
    return StackedRuns(
        trainable=stack_padded([run.trainable for run in runs]),
        frozen_leaves=stack_padded([run.frozen_leaves for run in runs]),
        shared=first.shared,
        mask=first.mask,
        method=methods[0],
        shapes=tuple(_shapes(run.trainable) for run in runs),
        summary=first.summary,
        rate_factors=_rate_factors(methods, first.mask),
    )


def stack_shapes(
    formulation: Formulation,
    base: Params,
    methods: Sequence[Method],
    seeds: Sequence[int],
    forward: Forward | None = None,
) -> StackedRuns:
    """Return the result of `stack_runs` with shapes instead of arrays, without drawing any leaf.

    Args and returns are as in `stack_runs`.
    """
    # Shapes do not depend on seeds, so one run of each method is enough.
    distinct = tuple(dict.fromkeys(methods))
    traced: list[StackedRuns] = []

    def draw(base: Params) -> tuple[Any, ...]:
        stacked = stack_runs(formulation, base, distinct, seeds[: len(distinct)], forward)
        traced.append(stacked)
        return stacked.shared, (stacked.trainable, stacked.frozen_leaves, stacked.rate_factors)

    shared, of_runs = jax.eval_shape(draw, base)
    trainable, frozen_leaves, rate_factors = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((len(methods), *leaf.shape[1:]), leaf.dtype), of_runs
    )
    return dataclasses.replace(
        traced[0],
        trainable=trainable,
        frozen_leaves=frozen_leaves,
        shared=shared,
        shapes=tuple(traced[0].shapes[distinct.index(method)] for method in methods),
        rate_factors=rate_factors,
    )


def stack_padded(trees: Sequence[Params]) -> Params:
    """Stack trees leaf by leaf; each leaf is padded with zeros to the largest at its path.

    Args:
      trees: N trees of one structure.

    Returns:
      One tree with leaves `[N, ...]`.
    """

    def stack(*leaves: jax.Array) -> jax.Array:
        shape = [max(sizes) for sizes in zip(*(leaf.shape for leaf in leaves), strict=True)]
        return jnp.stack([pad(leaf, shape) for leaf in leaves])

    def pad(leaf: jax.Array, shape: list[int]) -> jax.Array:
        missing = [full - size for full, size in zip(shape, leaf.shape, strict=True)]
        return jnp.pad(leaf, [(0, more) for more in missing])

    # Compile this as a whole; otherwise each operation on each leaf would be compiled separately.
    return jax.jit(lambda *trees: jax.tree.map(stack, *trees))(*trees)


def run_key(seed: int) -> jax.Array:
    """Return a run's threefry key, with which stacked runs draw the same as single runs."""
    return seed_key(seed)


def _draw_run(
    formulation: Formulation,
    base: Params,
    method: Method,
    seed: int,
    forward: Forward | None = None,
    first: _Run | None = None,
) -> _Run:
    """Draw the head and the method's leaves, and divide all parameters into three trees.

    All runs share the base, the mask and the summary, so these come from the first run.
    """
    head_key, method_key = jax.random.split(run_key(seed))
    params = formulation.prepare(base, head_key)
    params, rules_mask = attach(params, method, method_key, forward, calls_hooks=True)
    mask = first.mask if first else rules_mask
    trainable, frozen = partition(params, mask)
    frozen_leaves, shared = partition(frozen, _frozen_mask(params, method))
    trainable = _as_float32(trainable)
    if first:
        return dataclasses.replace(first, trainable=trainable, frozen_leaves=frozen_leaves)
    return _Run(trainable, frozen_leaves, shared, mask, summarise(params, mask))


def _present(tree: Params) -> dict[str, Any]:
    """Return the leaves that are not `None`, by path."""
    return {path: leaf for path, leaf in flatten(tree).items() if leaf is not None}


def _shapes(tree: Params) -> dict[str, tuple[int, ...]]:
    return {path: leaf.shape for path, leaf in _present(tree).items()}


def _frozen_mask(params: Params, method: Method) -> Params:
    if not method.frozen_rules:
        return jax.tree.map(lambda _: False, params)
    return mask_from_rules(params, method.frozen_rules)


def _rate_factors(methods: Sequence[Method], mask: Params) -> Params | tuple[()]:
    """Return the factors of all runs, `[N]` for each trainable leaf."""
    if not any(method.learning_rate_factors for method in methods):
        return ()

    def of_method(method: Method, path: str) -> float:
        factors = method.learning_rate_factors.items()
        return float(next((factor for rule, factor in factors if find(rule, path)), 1.0))

    def of_leaf(path: str) -> jax.Array:
        return jnp.array([of_method(method, path) for method in methods], jnp.float32)

    return unflatten(
        {path: of_leaf(path) if chosen else None for path, chosen in flatten(mask).items()}
    )


def _as_float32(params: Params) -> Params:
    """Cast trainable leaves to float32, since small updates would vanish in bfloat16."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)

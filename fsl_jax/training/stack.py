"""Runs of one tree structure stacked on a leading axis, and taken apart again."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fsl_jax.adapt.attach import attach
from fsl_jax.adapt.mask import mask_from_rules
from fsl_jax.adapt.methods.method import Method
from fsl_jax.adapt.partition import partition
from fsl_jax.adapt.summary import Summary, count_parameters, summarise
from fsl_jax.adapt.tree import Params, flatten, unflatten
from fsl_jax.tasks.formulation import Formulation
from fsl_jax.tasks.template_formulation import TemplateFormulation

Forward = Callable[[Params], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Stack:
    """The parameters of N runs in three groups that are absent (`None`) where another has the leaf.

    Attributes:
      trainable: trained leaves, `[N, ...]`, padded to the largest run with zeros.
      frozen_leaves: frozen leaves that differ between runs, `[N, ...]`, padded likewise.
      shared: the frozen base, held once.
      mask: which leaves train.
      method: of the first run; all share what is not a leaf.
      shapes: for each run the shapes of its own trained leaves by path, before padding.
      summary: what the first run trains.
      rate_factors: what the learning rate of each trained leaf is multiplied by, a tree of `[N]`;
        an empty tuple where it is 1 everywhere.
    """

    trainable: Params
    frozen_leaves: Params
    shared: Params
    mask: Params
    method: Method
    shapes: tuple[dict[str, tuple[int, ...]], ...]
    summary: Summary
    rate_factors: Params | tuple[()] = ()

    def total_parameters(self, run: int) -> int:
        """How many numbers the adapted model of one run holds, its own frozen leaves left out."""
        frozen = {
            path: leaf.shape for path, leaf in flatten(self.shared).items() if leaf is not None
        }
        return count_parameters(frozen) + count_parameters(self.shapes[run])

    def own(self, stacked: Params, run: int) -> Params:
        """The leaves of one run at their own shapes, out of leaves stacked like `trainable`."""
        leaves = {path: leaf for path, leaf in flatten(stacked).items() if leaf is not None}
        return unflatten(
            {
                path: leaves[path][(run, *map(slice, shape))]
                for path, shape in self.shapes[run].items()
            }
        )


def stack_runs(
    formulation: Formulation,
    base: Params,
    methods: Sequence[Method],
    seeds: Sequence[int],
    forward: Forward | None = None,
) -> Stack:
    """Prepares the parameters of runs that share a tree structure.

    Args:
      formulation: the formulation, which may add a head.
      base: the parameters of the pretrained model.
      methods: the method of each run; runs may differ in numbers such as the rank.
      seeds: the seed of each run, from which what is new is drawn.
      forward: traced to see which leaves are read; the formulation's logits unless named.

    Returns:
      The stack.
    """
    halves = []
    mask: Params = {}
    words = _label_words(formulation)
    methods = [method.resolve(formulation.pretrained, words) for method in methods]
    for number, (method, seed) in enumerate(zip(methods, seeds, strict=True)):
        head_key, method_key = jax.random.split(run_key(seed))
        params = formulation.prepare(base, head_key)
        first = number == 0
        params, rules_mask = attach(params, method, method_key, forward if first else None)
        mask = rules_mask if first else mask
        trainable, frozen = partition(params, mask)
        frozen_leaves, shared = partition(frozen, _frozen_mask(params, method))
        halves.append((_as_float32(trainable), frozen_leaves))
        if first:
            base_of_runs, summary = shared, summarise(params, mask)
    trainables, frozen_of_runs = zip(*halves, strict=True)
    shapes = tuple(
        {path: leaf.shape for path, leaf in flatten(tree).items() if leaf is not None}
        for tree in trainables
    )
    return Stack(
        stack_padded(trainables),
        stack_padded(frozen_of_runs),
        base_of_runs,
        mask,
        methods[0],
        shapes,
        summary,
        _rate_factors(methods, mask),
    )


def stack_shapes(
    formulation: Formulation,
    base: Params,
    methods: Sequence[Method],
    seeds: Sequence[int],
    forward: Forward | None = None,
) -> Stack:
    """What `stack_runs` returns, with shapes in place of arrays; nothing is drawn.

    Args and returns are as there.
    """
    # The seeds make no difference to shapes, so one run of each method is enough.
    distinct = tuple(dict.fromkeys(methods))
    traced: list[Stack] = []

    def draw(base: Params) -> tuple[Any, ...]:
        stack = stack_runs(formulation, base, distinct, seeds[: len(distinct)], forward)
        traced.append(stack)
        return stack.shared, (stack.trainable, stack.frozen_leaves, stack.rate_factors)

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
    """Stacks trees leaf by leaf, each leaf padded with zeros to the largest at its place.

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

    # Compiled as a whole: one by one, the operations on each leaf would be compiled too.
    return jax.jit(lambda *trees: jax.tree.map(stack, *trees))(*trees)


def run_key(seed: int) -> jax.Array:
    """The key of a run: threefry, so that stacked keys give what single ones give."""
    return jax.random.key(seed, impl="threefry2x32")


def _label_words(formulation: Formulation) -> tuple[str, ...]:
    """The first word of each class, which is its name where there is no verbalizer."""
    if isinstance(formulation, TemplateFormulation):
        return tuple(words[0] for words in formulation.verbalizer.words)
    return formulation.labels


def _frozen_mask(params: Params, method: Method) -> Params:
    if not method.frozen_rules:
        return jax.tree.map(lambda _: False, params)
    return mask_from_rules(params, method.frozen_rules)


def _rate_factors(methods: Sequence[Method], mask: Params) -> Params | tuple[()]:
    """The factors of all runs, `[N]` for each trained leaf."""
    if not any(method.learning_rate_factors for method in methods):
        return ()

    def of_leaf(path: str) -> jax.Array:
        found = [
            next((f for rule, f in each.learning_rate_factors.items() if re.search(rule, path)), 1)
            for each in methods
        ]
        return jnp.array(found, jnp.float32)

    return unflatten(
        {path: of_leaf(path) if chosen else None for path, chosen in flatten(mask).items()}
    )


def _as_float32(params: Params) -> Params:
    """Trained leaves are float32 whatever the base is: small updates vanish in bfloat16."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)

"""What training does to the leaves of runs, for the suites that every method and task passes."""

import dataclasses

import jax
import numpy as np

from fsl_jax.adapt.tree import flatten

NOISE = "attention/key/bias"
"""A key's bias moves all scores of a query alike, so the loss does not depend on it: its gradient
is rounding noise, of which Adam makes whole steps."""

# Stacked against alone, packed against not, on one device against eight, and cached against not:
# over 20 steps losses differed by up to 4e-7 of themselves and leaves by up to 3e-6.
LOSS_TOLERANCE = 2e-6
LEAF_TOLERANCE = 2e-5


def trained_paths(problem):
    """The paths of the leaves that a problem's method trains."""
    return {path for path, chosen in flatten(problem.stack.mask).items() if chosen}


def of_run(problem, runs, number=0):
    """The state of one run, whose leaves have no padding."""
    own = {
        half: problem.stack.run_leaves(getattr(runs, half), number)
        for half in ("trainable", "best")
    }
    return dataclasses.replace(jax.tree.map(lambda leaf: leaf[number], runs), **own)


def present(tree):
    """The leaves of a half by path, without those that are absent."""
    return {path: leaf for path, leaf in flatten(tree).items() if leaf is not None}


def assert_same_training(
    found, expected, tolerances=(LOSS_TOLERANCE, LEAF_TOLERANCE), noise=(NOISE,)
):
    """Losses and leaves agree within the tolerances, and validation decided the same."""
    of_losses, of_leaves = tolerances
    for field in ("best_step", "stopped", "diverged"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field), field)
    # Measures that count are the same; a correlation or a probability is rounded as losses are.
    for field in ("measures", "best_measure", "losses", "validation_losses", "best_loss"):
        pair = getattr(found, field), getattr(expected, field)
        # A small loss is the difference of logits near 1, whose rounding is no smaller for it.
        np.testing.assert_allclose(*pair, rtol=of_losses, atol=of_losses, err_msg=field)
    for half in ("trainable", "best"):
        leaves, others = present(getattr(found, half)), present(getattr(expected, half))
        assert leaves.keys() == others.keys()
        for path in leaves:
            if path.endswith(noise):
                continue
            np.testing.assert_allclose(
                leaves[path], others[path], rtol=0, atol=of_leaves, err_msg=path
            )


def assert_only_trained_leaves_change(problem, before, after, noise=()):
    """Each trained leaf moves in every run, but those in `noise`; all others stay as they are."""
    before, after, trained = present(before), present(after), trained_paths(problem)
    assert after.keys() == trained
    changed = {}
    for path, leaf in after.items():
        # AdaLoRA may spend a run's budget elsewhere, and leave a layer the zeros it began with.
        name = "lora_e" if path.endswith("/lora_e") else path
        moved = np.any(leaf != before[path], axis=tuple(range(1, leaf.ndim)))
        changed[name] = changed.get(name, False) | moved
    still = [name for name, moved in changed.items() if not moved.all()]
    assert not [name for name in still if not name.endswith(tuple(noise))]
    base = flatten(problem.formulation.pretrained.params)
    frozen = present(problem.stack.shared)
    assert frozen.keys() <= base.keys() - trained
    for path, leaf in frozen.items():
        # Of layers that were cut in two sections, `layers` has the lower ones.
        np.testing.assert_array_equal(leaf, base[path][: leaf.shape[0]], err_msg=path)


def fewer_rows(problem, other):
    """True if both training and validation have fewer rows than in another problem."""
    return all(
        getattr(problem.runs, name).shape.rows < getattr(other.runs, name).shape.rows
        for name in ("training", "validation")
    )

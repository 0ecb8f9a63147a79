"""The README's recipe trains what each method trains."""

import pathlib
import re

import jax
import numpy as np
import pytest

import fsl_jax
from fsl_jax.adapt import TRAINED_METHODS, parse_method
from fsl_jax.adapt.attach import unread_leaves
from fsl_jax.adapt.tree import flatten, unflatten
from fsl_jax.errors import InputError

README = pathlib.Path(__file__).parents[2] / "README.md"
JOINED = ("lora(targets='mlp/')+vera+prompt_tuning", "adalora+prefix_tuning", "top_layers+p_tuning")


@pytest.fixture
def recipe(tiny_bases, monkeypatch):
    """Runs the recipe on a tiny model, up to the gradients, with a method in place of LoRA."""
    monkeypatch.setattr(fsl_jax, "load", lambda name: tiny_bases["llama"])
    (code,) = re.findall(r"## From Python\n\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    before, call, rest = code.partition("gradients = jax.grad(loss)(trainable)\n")
    assert (call != "", rest) == (True, "")
    assert "method = LoRA(rank=8)\n" in before
    before = before.replace("LoRA(rank=8)", "METHOD")

    def run(text):
        names = {"METHOD": parse_method(text)}
        exec(before, names)
        return names["loss"], names["trainable"]

    return run


@pytest.mark.parametrize("text", [*TRAINED_METHODS, *JOINED])
def test_the_loss_reads_every_trained_leaf(recipe, text):
    if text in ("linear_probe", "bitfit"):
        with pytest.raises(InputError, match="there is nothing to train"):
            recipe(text)
        return
    loss, trainable = recipe(text)
    halves = flatten(trainable)
    present = unflatten({path: leaf for path, leaf in halves.items() if leaf is not None})

    def of_present(tree):
        leaves = flatten(tree)
        return loss(unflatten({path: leaves.get(path) for path in halves}))

    assert unread_leaves(of_present, present) == set()


def test_a_prompt_after_the_text_is_not_left_out_in_silence(recipe):
    with pytest.raises(InputError, match=r"never reads(.|\n)*embeddings/word/suffix"):
        recipe("prompt_tuning(position='suffix')")


@pytest.mark.parametrize(
    "text",
    [
        "vera(rank=2)+prefix_tuning(length=2, hidden=4)",
        "adalora(rank=2, target_rank=1)+p_tuning(length=2, encoder='mlp', hidden=4)",
    ],
)
def test_the_gradient_is_the_slope_of_the_loss(recipe, text):
    loss, trainable = recipe(text)
    slope_at = jax.jit(jax.value_and_grad(loss))
    _, gradients = slope_at(trainable)
    squares = sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(gradients))
    step = 1e-2 / np.sqrt(squares)

    def loss_after(distance):
        moved = jax.tree.map(lambda leaf, slope: leaf + distance * slope, trainable, gradients)
        return float(slope_at(moved)[0])

    assert squares > 0
    rise = loss_after(step) - loss_after(-step)
    np.testing.assert_allclose(rise / (2 * step), squares, rtol=0.02)

from unittest import mock

import numpy as np
import pytest

from fsl_jax.studies.analysis.prompt_plots import (
    draw_distances,
    draw_maps,
    draw_norms,
    draw_removals,
)
from fsl_jax.studies.analysis.trained_prompts import Removals, TrainedPrompts

STARTS, SEEDS = ("random", "text", "random", "text"), (1, 1, 2, 2)


@pytest.fixture(scope="module")
def prompts():
    """Two snapshots of four prompts of three vectors."""
    return np.random.default_rng(0).normal(size=(2, 4, 3, 2))


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_norms_have_a_line_a_seed_and_the_mean_of_each_start(prompts, overhang):
    trained = mock.Mock(TrainedPrompts, prompts=prompts, steps=(0, 5), starts=STARTS)
    figure = draw_norms(trained, np.ones((7, 2)))
    (axes,) = figure.axes
    norms = np.linalg.norm(prompts, axis=-1).mean(-1)
    lines = [line.get_ydata() for line in axes.lines]
    np.testing.assert_allclose(lines[:3], [norms[:, 0], norms[:, 2], norms[:, ::2].mean(1)])
    assert lines[-1][0] == pytest.approx(2**0.5)
    assert legend(figure) == ["random", "text", "vocabulary, median"]
    assert overhang(figure) <= 0


def test_distances_stand_by_start_on_one_scale(overhang):
    values = np.arange(16.0).reshape(4, 4)
    figure = draw_distances({"one": values, "other": 2 * values}, STARTS, SEEDS)
    first, second, _ = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == [
        "random, 1",
        "random, 2",
        "text, 1",
        "text, 2",
    ]
    np.testing.assert_array_equal(first.images[0].get_array()[0], [0, 2, 1, 3])
    assert first.images[0].get_clim() == second.images[0].get_clim() == (0, 30)
    assert overhang(figure) <= 0


def test_a_map_leads_from_where_vectors_began_to_where_they_ended(prompts, overhang):
    words = np.zeros((5, 2))
    figure = draw_maps({"PCA": (words, *prompts), "UMAP": (words, *prompts)}, STARTS)
    axes = figure.axes[0]
    line = axes.lines[0]
    np.testing.assert_array_equal(line.get_xydata(), prompts[:, 0, 0])
    np.testing.assert_array_equal(axes.collections[1].get_offsets(), prompts[1, ::2].reshape(-1, 2))
    assert legend(figure) == ["random", "text"]
    assert overhang(figure) <= 0


def test_removals_are_drawn_as_changes_with_the_whole_prompt_last(overhang):
    without = np.array([[0.5, 0.7], [0.6, 0.6], [0.5, 0.5], [0.4, 0.6]])
    removals = Removals(np.full(4, 0.6), without, np.full(4, 0.2))
    figure = draw_removals(removals, STARTS)
    (axes,) = figure.axes
    first, _, mean = (group.get_offsets()[:, 1] for group in axes.collections[:3])
    np.testing.assert_allclose(first, [-10, 10, -40], atol=1e-9)
    np.testing.assert_allclose(mean, [-10, 0, -40], atol=1e-9)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "all"]
    assert overhang(figure) <= 0

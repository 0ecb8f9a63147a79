import numpy as np
import pytest

from fsl_jax.studies.records.records import CurvePoint
from fsl_jax.studies.reporting.curves_plot import draw_curves
from fsl_jax.studies.reporting.summary import summarise


def points(axes):
    return [tuple(point) for group in axes.collections for point in group.get_offsets()]


def test_curves_have_a_panel_a_model_and_level_lines_for_what_is_not_trained(study):
    figure = draw_curves(summarise(study, []), study)
    assert [axes.get_title() for axes in figure.axes] == ["tiny", "other"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(labels) == ["bitfit", "lora(rank=8)", "zero_shot (tiny)"]
    for axes in figure.axes:
        (level,) = [line for line in axes.lines if line.get_label() == "zero_shot (tiny)"]
        assert list(level.get_ydata()) == [75.0, 75.0]


def test_a_level_line_of_the_test_set_says_so(make_record):
    records = [make_record(), make_record("untrained", method="icl", validation=None, test=0.4)]
    figure = draw_curves(summarise(records, []), records)
    (level,) = [line for line in figure.axes[0].lines if line.get_label() == "icl (tiny, test set)"]
    assert list(level.get_ydata()) == [40.0, 40.0]


def test_the_mean_curve_goes_as_far_as_all_seeds_do(make_record):
    short = (CurvePoint(0, 0.2, None), CurvePoint(10, 0.6, 1.0))
    records = [make_record(seed=1), make_record(seed=2, curve=short, best_step=10)]
    figure = draw_curves(summarise(records, []), records)
    (mean,) = [line for line in figure.axes[0].lines if line.get_label() == "lora"]
    assert list(mean.get_xdata()) == [0, 10]
    assert list(mean.get_ydata()) == pytest.approx([22.5, 55.0])
    assert sorted(map(tuple, np.round(points(figure.axes[0]), 6))) == [(10, 60.0), (20, 75.0)]


def test_curves_of_runs_that_were_not_selected_are_left_out(make_record):
    records = [make_record(), make_record("unselected", learning_rate=0.1)]
    figure = draw_curves(summarise(records, []), records)
    assert len(figure.axes[0].lines) == 2

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fsl_jax.studies.records.records import CurvePoint
from fsl_jax.studies.reporting.plots import (
    CURVES_FILE,
    METHODS_FILE,
    draw_curves,
    draw_methods,
    write_plots,
)
from fsl_jax.studies.reporting.summary import summarise


def points(axes):
    return [tuple(point) for group in axes.collections for point in group.get_offsets()]


def overhang(figure):
    """How far what is drawn reaches beyond the picture, in inches."""
    FigureCanvasAgg(figure).draw()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    return max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height)


def test_writes_both_pictures_and_the_same_bytes_again(tmp_path, study):
    rows = summarise(study, [])
    names = write_plots(tmp_path, rows, study)
    before = {name: (tmp_path / name).read_bytes() for name in names}

    write_plots(tmp_path, rows, study)

    assert names == [METHODS_FILE, CURVES_FILE]
    assert all(data.startswith(b"\x89PNG") for data in before.values())
    assert before == {name: (tmp_path / name).read_bytes() for name in names}


def test_without_training_there_are_no_curves(tmp_path, make_record):
    records = [make_record("untrained", method="zero_shot")]
    assert write_plots(tmp_path, summarise(records, []), records) == [METHODS_FILE]


def test_every_seed_the_mean_and_the_interval_are_drawn(make_record):
    records = [make_record(seed=seed, test=test) for seed, test in enumerate((0.6, 0.7, 0.8))]
    (axes,) = draw_methods(summarise(records, [])).axes
    assert sorted(x for x, _ in points(axes)) == pytest.approx([60, 70, 70, 80])
    low, high = axes.lines[0].get_xdata()
    assert low < 60 < 80 < high
    least, most = axes.get_xlim()
    assert least < low
    assert high < most


def test_equal_values_do_not_hide_each_other(make_record):
    records = [make_record(seed=seed, test=0.7) for seed in range(12)]
    (axes,) = draw_methods(summarise(records, [])).axes
    seeds = points(axes)[1:]
    assert len(set(seeds)) == 12
    assert max(y for _, y in seeds) < 0.5


def test_a_failed_method_keeps_its_line(study):
    (axes,) = draw_methods(summarise(study, [])).axes
    assert axes.get_yticklabels()[-1].get_text() == "full  ·  tiny"
    assert "failed" in [text.get_text() for text in axes.texts]


def test_chance_is_drawn_where_given(study):
    (axes,) = draw_methods(summarise(study, []), chance=0.2).axes
    assert "chance" in [text.get_text() for text in axes.texts]
    assert axes.get_xlim()[0] < 20


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


@pytest.mark.parametrize("long", [False, True])
def test_no_label_is_cut_off(study, make_record, long):
    if long:
        study = [
            *study,
            make_record(method="lora(rank=4,targets=[query,value])", model="a-long-model-name"),
        ]
    rows = summarise(study, [])
    for figure in (draw_methods(rows, chance=0.5), draw_curves(rows, study)):
        assert overhang(figure) <= 0
        assert all(axes.get_xlabel() for axes in figure.axes)

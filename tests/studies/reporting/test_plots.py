import pytest

from fsl_jax.studies.reporting.curves_plot import draw_curves
from fsl_jax.studies.reporting.methods_plot import draw_methods
from fsl_jax.studies.reporting.plots import CURVES_FILE, METHODS_FILE, plot_files
from fsl_jax.studies.reporting.summary import summarise


def test_makes_both_pictures_and_the_same_bytes_again(study):
    rows = summarise(study, [])
    pictures = plot_files(rows, study)
    assert list(pictures) == [METHODS_FILE, CURVES_FILE]
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert plot_files(rows, study) == pictures


def test_without_training_there_are_no_curves(make_record):
    records = [make_record("untrained", method="zero_shot")]
    assert list(plot_files(summarise(records, []), records)) == [METHODS_FILE]


@pytest.mark.parametrize("long", [False, True])
def test_no_label_is_cut_off(study, make_record, overhang, long):
    if long:
        study = [
            *study,
            make_record(method="lora(rank=4,targets=[query,value])", model="a-long-model-name"),
        ]
    rows = summarise(study, [])
    for figure in (draw_methods(rows, chance=0.5), draw_curves(rows, study)):
        assert overhang(figure) <= 0
        assert all(axes.get_xlabel() for axes in figure.axes)

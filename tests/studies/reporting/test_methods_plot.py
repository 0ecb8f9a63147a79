import pytest

from fsl_jax.studies.reporting.curves_plot import draw_curves
from fsl_jax.studies.reporting.methods_plot import draw_methods
from fsl_jax.studies.reporting.plot_style import label_of
from fsl_jax.studies.reporting.summary import summarise


def points(axes):
    return [tuple(point) for group in axes.collections for point in group.get_offsets()]


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


MATHEMATICS = r"prompt_tuning(text='$\frac$ $x_{$')"
LONG = "prompt_tuning(text='" + "word " * 60


@pytest.mark.parametrize("text", [MATHEMATICS, LONG, "a\nb", "cost $5 or $6", "\udcff$"])
def test_any_text_of_a_user_can_be_drawn(make_record, overhang, text):
    records = [make_record(method=text, model=text, dataset=text, seed=seed) for seed in (1, 2)]
    for figure in (
        draw_methods(summarise(records, [])),
        draw_curves(summarise(records, []), records),
    ):
        assert overhang(figure) <= 0.01


def test_long_texts_with_the_same_beginning_have_different_labels():
    labels = [label_of(LONG + ending) for ending in "ab"]
    assert labels[0] != labels[1]
    assert all(len(label) <= 40 for label in labels)
    assert label_of("lora(rank=8)") == "lora(rank=8)"

import pytest

from fsl_jax.studies.reporting.metric_titles import metric_bounds, metric_title


@pytest.mark.parametrize(
    ("name", "title"),
    [("accuracy", "accuracy"), ("entity_f1", "entity F1"), ("another_one", "another one")],
)
def test_titles_are_those_inside_a_sentence(name, title):
    assert metric_title(name) == title


def test_correlations_may_be_negative():
    assert metric_bounds("pearson") == (-1, 1)
    assert metric_bounds("accuracy") == metric_bounds("another") == (0, 1)

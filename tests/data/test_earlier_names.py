import pytest

from fsl_jax import data, tasks
from fsl_jax.data.splits import few_shot_split


def test_data_sets_are_found_where_they_were_before_there_were_tasks():
    assert data.load_dataset is tasks.load_dataset
    assert data.make_dataset is tasks.make_dataset
    assert data.few_shot_split is few_shot_split is tasks.few_shot_split
    example = data.text_example("sun", "good")
    assert example.label == example.answer == "good"


def test_what_is_not_there_is_said():
    with pytest.raises(AttributeError, match="has no attribute 'load'"):
        data.load  # noqa: B018

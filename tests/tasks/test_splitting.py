import pytest

from fsl_jax.data import Example
from fsl_jax.errors import InputError
from fsl_jax.tasks import few_shot_split, make_dataset


def test_the_task_of_a_data_set_draws():
    items = [Example({"source": str(n)}, (str(n),)) for n in range(50)]
    dataset = make_dataset("numbers", items, task="generation")
    split = few_shot_split(dataset, 4, 1)
    assert (len(split.train), len(split.validation), split.seed) == (4, 4, 1)
    assert few_shot_split(dataset, 8, 1).train[:4] == split.train
    with pytest.raises(InputError, match="At most 20 shots fit"):
        few_shot_split(dataset, 21, 1)

import pytest

from fsl_jax.data.origins.part_names import chosen_parts, part_of
from fsl_jax.errors import InputError


@pytest.mark.parametrize(
    ("name", "part"),
    [("train", "train"), ("dev", "validation"), ("eval", "test"), ("extra", None), ("Train", None)],
)
def test_parts_go_by_several_names(name, part):
    assert part_of(name) == part


def test_the_first_name_of_each_part_is_chosen():
    names = ["test", "extra", "dev", "validation", "train"]
    chosen, others = chosen_parts(names, "hf:org/name")
    assert list(chosen.items()) == [("train", "train"), ("validation", "dev"), ("test", "test")]
    assert others == ("extra", "validation")


@pytest.mark.parametrize(("names", "shown"), [(["test"], "'test'"), ([], "none")])
def test_without_a_part_to_train_on_there_is_an_error(names, shown):
    with pytest.raises(InputError, match=f"hf:org/name has no part 'train' .* parts are {shown}"):
        chosen_parts(names, "hf:org/name")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import Dataset, text_example
from fsl_jax.data.draws.covering import draw_covering
from fsl_jax.errors import InputError

LABELS = "abc"
sets = st.sets(st.sampled_from(LABELS)).map(lambda each: "".join(sorted(each)))


def labels_of(example):
    return frozenset(example.answer)


def dataset(labels, validation=()):
    made = [
        tuple(text_example(f"{part} {n}", each) for n, each in enumerate(of))
        for part, of in (("train", labels), ("validation", validation))
    ]
    return Dataset("small", *made, (), tuple(LABELS))


def count(part, label):
    return sum(label in example.answer for example in part)


@given(st.lists(sets, max_size=20), st.integers(1, 4), st.integers(0, 99))
def test_each_label_comes_k_times_and_no_example_could_be_left_out(extra, shots, seed):
    source = dataset([*(LABELS * 12), *extra])
    split = draw_covering(source, shots, seed, labels_of)
    assert not set(split.train) & set(split.validation)
    for part in (split.train, split.validation):
        assert all(count(part, label) >= shots for label in LABELS)
        for example in part:
            assert any(count(part, label) == shots for label in example.answer)
    assert draw_covering(source, shots, seed, labels_of) == split


def test_the_first_examples_have_all_labels():
    split = draw_covering(dataset(LABELS * 20), 5, 0, labels_of)
    for start in range(0, 15, 3):
        assert {e.answer for e in split.train[start : start + 3]} == set(LABELS)


def test_validation_is_drawn_from_its_own_part():
    source = dataset(LABELS * 3, LABELS * 2)
    split = draw_covering(source, 2, 0, labels_of)
    assert set(split.validation) <= set(source.validation)
    assert len(split.validation) == 6


def test_labels_with_too_few_examples_are_all_named():
    with pytest.raises(InputError) as error:
        draw_covering(dataset("aaabbcccccc"), 2, 0, labels_of)
    says = str(error.value)
    assert "label 'a' is in 3 examples of train, 4 are needed" in says
    assert "label 'b' is in 2 examples of train, 4 are needed" in says
    assert "label 'c'" not in says
    assert "At most 1 shots fit" in says
    with pytest.raises(InputError, match="no example of train has a label"):
        draw_covering(dataset([""]), 1, 0, labels_of)

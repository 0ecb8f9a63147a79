import hashlib
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax import data
from fsl_jax.data import text_example
from fsl_jax.data.duplicates import normalized
from fsl_jax.data.splits import fixed_fifth
from fsl_jax.errors import InputError
from fsl_jax.tasks import few_shot_split, make_dataset


def pool(name, **counts):
    """Make examples of each label in turn, as files often have them."""
    rows = [(n, label) for label, count in counts.items() for n in range(count)]
    return [text_example(f"{name} {label} number {n}", label) for n, label in sorted(rows)]


def dataset(train=40, validation=0, test=50):
    return make_dataset(
        "numbers",
        pool("train", low=train, high=train, middle=train),
        pool("validation", low=validation, high=validation, middle=validation),
        pool("test", low=test, high=test, middle=test),
    )


@pytest.fixture(scope="module")
def without_validation():
    return dataset()


@pytest.fixture(scope="module")
def with_validation():
    return dataset(validation=10)


def counts(examples):
    return Counter(example.answer for example in examples)


class TestFixedFifth:
    def test_takes_a_fifth_of_each_class(self):
        examples = pool("one file", many=100, some=23, few=3, two=2)
        chosen = counts(examples[position] for position in fixed_fifth(examples))
        assert chosen == {"many": 20, "some": 5, "few": 1}

    @given(st.permutations(pool("one file", a=12, b=9)))
    def test_depends_on_the_texts_and_not_on_their_order(self, shuffled):
        ordered = sorted(shuffled, key=lambda example: example.text)
        expected = {ordered[position] for position in fixed_fifth(ordered)}
        assert {shuffled[position] for position in fixed_fifth(shuffled)} == expected

    def test_takes_the_smallest_hashes(self):
        examples = pool("one file", a=10, b=10)
        chosen = {examples[position] for position in fixed_fifth(examples)}
        for label in "ab":
            members = [example for example in examples if example.answer == label]
            members.sort(key=lambda e: hashlib.sha256(b"\0" + e.text.encode()).hexdigest())
            assert chosen & set(members) == set(members[:2])


class TestFewShotSplit:
    @given(shots=st.integers(1, 20), seed=st.integers(0, 2**40), own=st.booleans())
    def test_has_k_of_each_class_and_no_text_twice(
        self, shots, seed, own, without_validation, with_validation
    ):
        source = with_validation if own else without_validation
        shots = min(shots, 10) if own else shots
        split = few_shot_split(source, shots, seed)
        assert (split.seed, split.shots) == (seed, shots)
        assert (
            counts(split.train) == counts(split.validation) == dict.fromkeys(source.labels, shots)
        )
        texts = [normalized(e.text) for e in (*split.train, *split.validation, *source.test)]
        assert len(set(texts)) == len(texts)
        assert set(split.train) <= set(source.train)
        assert set(split.validation) <= set(source.validation if own else source.train)

    @given(shots=st.integers(1, 20), seed=st.integers(0, 1000))
    def test_a_seed_is_one_split_and_another_seed_another(self, shots, seed, without_validation):
        split = few_shot_split(without_validation, shots, seed)
        assert few_shot_split(dataset(), shots, seed) == split
        other = few_shot_split(without_validation, shots, seed + 1)
        assert (other.train, other.validation) != (split.train, split.validation)

    @given(seed=st.integers(0, 1000))
    def test_every_round_has_each_class_once(self, seed, without_validation):
        split = few_shot_split(without_validation, 5, seed)
        for part in (split.train, split.validation):
            for start in range(0, len(part), 3):
                assert counts(part[start : start + 3]) == {"low": 1, "middle": 1, "high": 1}

    def test_the_last_class_of_a_round_is_not_always_the_same(self, without_validation):
        split = few_shot_split(without_validation, 20, seed=0)
        assert {example.answer for example in split.train[2::3]} == set(without_validation.labels)

    def test_every_example_can_be_drawn(self, without_validation):
        drawn = {e for seed in range(60) for e in few_shot_split(without_validation, 5, seed).train}
        assert drawn == set(without_validation.train)

    def test_names_all_classes_that_have_too_few(self):
        source = make_dataset(
            "small", pool("train", a=3, b=4, c=9), test=pool("test", a=1, b=1, c=1)
        )
        assert len(few_shot_split(source, 1, seed=0).train) == 3
        with pytest.raises(InputError) as error:
            few_shot_split(source, 3, seed=0)
        message = str(error.value)
        assert "class 'a' has 3 examples in train, 6 are needed" in message
        assert "class 'b' has 4 examples in train, 6 are needed" in message
        assert "class 'c'" not in message
        assert "3 to train on and 3 to validate on" in message

    def test_counts_train_and_validation_apart_where_both_are_given(self):
        source = make_dataset(
            "small", pool("t", a=3, b=2), pool("v", a=1, b=3), pool("test", a=1, b=1)
        )
        with pytest.raises(InputError) as error:
            few_shot_split(source, 3, seed=0)
        message = str(error.value)
        assert "class 'b' has 2 examples in train, 3 are needed" in message
        assert "class 'a' has 1 examples in validation, 3 are needed" in message
        assert message.count("class '") == 2

    @pytest.mark.parametrize(
        ("shots", "seed", "says"), [(0, 1, "shots is 0"), (1, -1, "the seed is -1")]
    )
    def test_refuses_numbers_out_of_range(self, shots, seed, says, without_validation):
        with pytest.raises(InputError, match=re.escape(says)):
            few_shot_split(without_validation, shots, seed)


class TestTestSubset:
    @given(one=st.integers(1, 160), other=st.integers(1, 160))
    def test_a_smaller_one_is_part_of_a_larger_one(self, one, other, without_validation):
        small, large = (data.test_subset(without_validation, size) for size in sorted((one, other)))
        assert len(small) == min(one, other, 150)
        assert set(small) <= set(large)

    def test_keeps_the_order_of_the_test_set(self, without_validation):
        places = [
            without_validation.test.index(e) for e in data.test_subset(without_validation, 30)
        ]
        assert places == sorted(places)

    def test_none_and_more_than_there_are_mean_all(self, without_validation):
        assert data.test_subset(without_validation, None) == without_validation.test
        assert data.test_subset(without_validation, 10_000) == without_validation.test

    def test_is_the_same_whatever_the_order_of_the_file(self, without_validation):
        turned = make_dataset(
            "turned", without_validation.train, test=without_validation.test[::-1]
        )
        assert set(data.test_subset(turned, 20)) == set(data.test_subset(without_validation, 20))

    def test_is_not_just_the_first_ones(self, without_validation):
        chosen = data.test_subset(without_validation, 50)
        assert len(set(chosen) & set(without_validation.test[:50])) < 40

    def test_is_drawn_apart_from_the_fifth_of_a_single_file(self):
        source = make_dataset("one file", pool("one file", a=500, b=500))
        smallest = {source.test[position] for position in fixed_fifth(source.test)}
        assert len(smallest & set(data.test_subset(source, len(smallest)))) < 20

    def test_needs_one_example(self, without_validation):
        with pytest.raises(InputError, match="max_test is 0"):
            data.test_subset(without_validation, 0)

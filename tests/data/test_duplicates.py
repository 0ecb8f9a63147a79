import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsl_jax.data import text_example
from fsl_jax.data.duplicates import normalized, remove_duplicates, text_hash


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Profits  Rise\n", "profits rise"),
        ("\ufb01ne x²", "fine x2"),
        ("STRASSE", "straße"),
        ("\u0390", "\u0390".upper()),
        ("cafe\u0301", "café"),
        ("\uff26\uff35\uff2c\uff2c\u3000width", "full width"),
    ],
)
def test_texts_that_look_the_same_are_the_same(text, same):
    assert normalized(text) == normalized(same)
    assert text_hash(text) == text_hash(same)
    assert text_hash(text) != text_hash(text, salt="another")


def test_different_words_stay_different():
    assert normalized("profits rise") != normalized("profit rises")


@given(st.text())
def test_normalizing_twice_changes_nothing(text):
    assert normalized(normalized(text)) == normalized(text)


def test_normalizing_twice_changes_no_single_character():
    scripts_with_cases_and_compatibility_forms = (
        *range(0x3400),
        *range(0xA600, 0xAC00),
        *range(0xF900, 0x10600),
        *range(0x1D400, 0x1D800),
    )
    every = map(chr, scripts_with_cases_and_compatibility_forms)
    assert [c for c in every if normalized(normalized(c)) != normalized(c)] == []


def examples(**labels_by_text):
    return tuple(text_example(text, label) for text, label in labels_by_text.items())


def test_the_first_copy_within_a_part_stays():
    train = (text_example("One", "a"), text_example("two", "b"), text_example(" ONE", "a"))
    distinct = remove_duplicates(train, (), ())
    assert distinct.train == train[:2]
    assert (distinct.duplicates_removed, distinct.contradictions_removed) == (1, 0)


def test_the_test_set_keeps_its_copy_whatever_the_labels():
    distinct = remove_duplicates(
        train=examples(one="a", two="b", three="a", four="b"),
        validation=examples(ONE="a", three="b", five="a"),
        test=examples(One="b", six="a"),
    )
    assert distinct.test == examples(One="b", six="a")
    assert distinct.validation == examples(three="b", five="a")
    assert distinct.train == examples(two="b", four="b")
    assert (distinct.duplicates_removed, distinct.contradictions_removed) == (3, 0)


def test_a_text_with_two_labels_in_one_part_goes_altogether():
    ambiguous = (text_example("one", "a"), text_example("One", "b"), text_example("one", "a"))
    distinct = remove_duplicates((*ambiguous, text_example("two", "a")), (), ())
    assert distinct.train == (text_example("two", "a"),)
    assert (distinct.duplicates_removed, distinct.contradictions_removed) == (3, 3)


def test_a_contradiction_in_the_test_set_takes_the_copies_of_train_with_it():
    distinct = remove_duplicates(
        train=examples(one="a", two="b"), validation=(), test=(*examples(one="a", ONE="b"),)
    )
    assert (distinct.train, distinct.test) == (examples(two="b"), ())
    assert (distinct.duplicates_removed, distinct.contradictions_removed) == (3, 2)


few_texts = st.lists(st.tuples(st.sampled_from("aAbBcC dD"), st.sampled_from("xy")))


@given(few_texts, few_texts, few_texts)
def test_no_text_is_left_twice_and_all_rows_are_accounted_for(train, validation, test):
    train, validation, test = (
        [text_example(*each) for each in part] for part in (train, validation, test)
    )
    distinct = remove_duplicates(train, validation, test)
    kept = (*distinct.train, *distinct.validation, *distinct.test)
    texts = [normalized(example.text) for example in kept]
    assert len(set(texts)) == len(texts)
    assert len(kept) + distinct.duplicates_removed == len(train) + len(validation) + len(test)
    assert 0 <= distinct.contradictions_removed <= distinct.duplicates_removed
    assert set(distinct.test) <= set(test)

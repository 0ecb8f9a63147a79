import pytest

from fsl_jax.studies.reporting.conclusion import conclusion, difference
from fsl_jax.studies.reporting.summary import summarise


def rows_of(make_record, **tests):
    records = [
        make_record(method=method, seed=seed, test=test)
        for method, values in tests.items()
        for seed, test in enumerate(values)
        if test is not None
    ]
    return summarise(records, [])


def test_a_clear_winner_is_named_first_with_its_spread(study):
    text = conclusion(summarise(study, []))
    assert text.startswith(
        "**On `fruits` with 4 shots, `lora(rank=8)` with `tiny` works best: 90.0 ± 1.0 % accuracy**"
    )
    assert "over 3 seeds" in text
    assert "Next comes `bitfit` with `other`: 70.3 ± 1.5 %, 19.7 points behind" in text
    assert text.endswith("Every other row is behind by more than the luck of the splits explains.")


def test_what_the_seeds_cannot_tell_apart_is_said(make_record):
    rows = rows_of(make_record, a=(0.90, 0.80, 0.85), b=(0.80, 0.88, 0.84), c=(0.1, 0.1, 0.1))
    text = conclusion(rows)
    assert "`a` with `tiny` comes out first" in text
    assert text.endswith("These seeds do not tell the two apart; more seeds might.")


def test_all_that_are_level_with_the_best_are_listed(make_record):
    rows = rows_of(make_record, a=(0.90, 0.80), b=(0.80, 0.88), c=(0.7, 0.9), d=(0.1, 0.1))
    text = conclusion(rows)
    assert "do not tell the first apart from `b` with `tiny`, `c` with `tiny`; more" in text


def test_splits_that_are_hard_for_all_do_not_hide_a_difference(make_record):
    rows = rows_of(make_record, a=(0.90, 0.60, 0.75), b=(0.87, 0.575, 0.72))
    assert rows[0].ci95[0] < rows[1].mean
    assert "`a` with `tiny` works best" in conclusion(rows)


def test_one_seed_claims_no_order(make_record):
    text = conclusion(rows_of(make_record, a=(0.9,), b=(0.8,)))
    assert "(one seed)" in text
    assert "Next comes `b` with `tiny`: 80.0 %. One seed cannot say" in text


def test_a_lone_row_is_compared_with_nothing(make_record):
    assert "Next" not in conclusion(rows_of(make_record, a=(0.9, 0.8)))


def test_nothing_but_failures_is_no_answer(make_record):
    rows = summarise([make_record("failed", seed=seed) for seed in (1, 2)], [])
    assert conclusion(rows).startswith("**No answer")


def test_only_shared_seeds_are_compared(make_record):
    a, b = rows_of(make_record, a=(0.9, 0.8, 0.7), b=(0.6, None, 0.5))
    assert difference(a, b).mean == pytest.approx(0.25)
    assert difference(*rows_of(make_record, a=(0.9, None), b=(None, 0.5))) is None

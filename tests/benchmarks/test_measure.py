"""Turns, ratios and the table of a benchmark."""

import pytest

from benchmarks.measure import Row, alternate, require_same_losses, table


def test_losses_that_differ_are_refused():
    with pytest.raises(ValueError, match="same work"):
        require_same_losses([1.0, 2.0], [1.0, 2.1], 1e-3)
    with pytest.raises(ValueError, match="same work"):
        require_same_losses([], [1.0], 1e-3)


def test_sides_take_turns_and_the_first_ones_do_not_count():
    called = []

    def side(name):
        called.append(name)
        return float(len(called))

    sides = {"project": lambda: side("project"), "peer": lambda: side("peer")}
    assert alternate(sides, repeats=2) == {"project": [3.0, 5.0], "peer": [4.0, 6.0]}
    assert called == ["project", "peer"] * 3


def test_a_row_gives_the_ratio_of_each_turn_with_its_spread():
    row = Row("work", "eager", [1.0, 2.0, 1.0], [2.0, 3.0, 3.0], 1.2, "a note")
    assert row.ratios == [2.0, 1.5, 3.0]
    assert "| work | eager | 3 | 1 | 2.00 (1.50 to 3.00) | ≥ 1.2 | a note |" in table([row])
    assert "| start |  |  | 4 |  | < 10 s |  |" in table([Row("start", "", [4.0], (), 10.0)])

"""How numbers and lists read."""

from __future__ import annotations

import pytest

from leaderboard.columns import Measure
from leaderboard.statistics import Interval
from leaderboard.wording import axis, bounds, count, counts, listing, number, plural

PERCENT = Measure("accuracy", True, "%", 0.5, 1.0)
PLAIN = Measure("matthews", True, "", 0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "measure", "text"),
    [
        (0.8234, PERCENT, "82.3"),
        (1.0, PERCENT, "100.0"),
        (-0.0001, PERCENT, "0.0"),
        (-0.2, PLAIN, "\u22120.200"),
        (0.12345, PLAIN, "0.123"),
    ],
)
def test_numbers(value: float, measure: Measure, text: str) -> None:
    assert number(value, measure) == text


def test_intervals_and_their_absence() -> None:
    assert bounds(Interval(0.5, 0.4, 0.6, 3, 9, ""), PERCENT) == "[40.0,\u00a060.0]"
    assert bounds(Interval(0.5, None, None, 3, 9, ""), PERCENT) == ""


def test_counts_lists_and_axes() -> None:
    assert (count(22713.0), count(None)) == ("22,713", "—")
    assert (counts([]), counts([5]), counts([5, 7, 9000])) == ("—", "5", "5 to 9,000")
    assert (listing(["a"]), listing(["a", "b"]), listing(["a", "b", "c"])) == ("a", "a and b", "a, b and c")
    assert (plural(1, "seed"), plural(3, "seed")) == ("1 seed", "3 seeds")
    assert axis(PERCENT) == "accuracy, %"
    assert axis(Measure("mean_loss", False, "", None, None)) == "mean loss (lower is better)"

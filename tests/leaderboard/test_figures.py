"""Which rows one line joins, and how charts name them."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.cells import Row
from leaderboard.figures import curves


def row(method: str, trained: Sequence[int], values: str = "", targets: str = "linear", budget: str = "") -> Row:
    pairs = (("rank", values),) if values else ()
    return Row(method, pairs, budget, targets, (), tuple(trained), {}, ())


def shape(rows: Sequence[Row]) -> list[tuple[str, int, bool]]:
    return [(curve.name, len(curve.rows), curve.reference) for curve in curves(rows)]


def test_budgets_of_a_method_are_one_curve_and_zero_is_a_line() -> None:
    rows = [row("mask", [10], budget="1 %"), row("mask", [100], budget="10 %"), row("base", [0]), row("full", [1000])]
    assert shape(rows) == [("full", 1, False), ("mask", 2, False), ("base", 1, True)]


def test_ranks_of_different_size_are_one_curve_and_a_single_one_is_named() -> None:
    assert shape([row("lora", [10], "4"), row("lora", [20], "8")]) == [("lora", 2, False)]
    assert shape([row("lora", [10], "4")]) == [("lora rank 4", 1, False)]


def test_targets_are_never_joined() -> None:
    found = shape([row("lora", [10], "4", "mlp"), row("lora", [20], "4", "attention")])
    assert found == [("lora attention", 1, False), ("lora mlp", 1, False)]


def test_values_of_equal_size_stand_apart() -> None:
    found = shape([row("fish", [10], "16"), row("fish", [10], "256"), row("fish", [50], "16")])
    assert found == [("fish rank 16", 2, False), ("fish rank 256", 1, False)]


def test_curves_of_equal_size_are_named_by_the_values_that_tell_them_apart() -> None:
    def update(**values: str) -> Row:
        return Row("update", tuple(values.items()), "", "all", (), (10,), {}, ())

    rows = [
        update(choose="fish", samples="256", ranks="2", every="4", masks="disjoint"),
        update(choose="fish", samples="256", ranks="2", every="30", masks="disjoint"),
        update(choose="fish", samples="256", ranks="2", every="30", masks="equal"),
        update(choose="random", ranks="2", every="30", masks="disjoint"),
    ]
    assert [name for name, _, _ in shape(rows)] == [
        "update choose fish every 30 masks disjoint",
        "update choose fish every 30 masks equal",
        "update choose fish every 4 masks disjoint",
        "update choose random every 30 masks disjoint",
    ]


def test_rows_without_a_known_size_are_in_no_chart() -> None:
    assert shape([row("full", [])]) == []


def test_further_curves_of_a_method_are_numbered() -> None:
    rows = [row("fish", [10], "16"), row("fish", [10], "256"), row("lora", [10], "4"), row("fish", [0], "1")]
    assert [(curve.name, curve.method, curve.variant) for curve in curves(rows)] == [
        ("fish rank 16", "fish", 0),
        ("fish rank 256", "fish", 1),
        ("lora rank 4", "lora", 0),
        ("fish", "fish", 2),
    ]

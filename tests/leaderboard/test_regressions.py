"""Verdicts: what fails, what passes, what cannot be told, and what margins mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UnknownName, UserError
from harness.gate import Outcome
from leaderboard.columns import Measure
from leaderboard.regressions import Margins, holm, parse_margins
from tests.leaderboard.making import Made, card
from tests.leaderboard.regressing import TASK, compared, details, write

NAME = "glue/sst2, lora, linear"


def test_a_method_silently_retrained_worse_fails(tmp_path: Path) -> None:
    found = compared(write(tmp_path / "base"), write(tmp_path / "new", 0.5, trained=1))
    (verdict,) = found.verdicts
    assert verdict.outcome is Outcome.FAIL
    numbers = verdict.numbers
    assert numbers is not None
    assert numbers.drop == pytest.approx(numbers.base - numbers.new)
    assert numbers.drop > numbers.margin == 1
    assert numbers.p_value < 0.05
    shown = f"{numbers.base:.2f} -> {numbers.new:.2f} %, a drop of {numbers.drop:.2f}"
    assert shown in details(found)[NAME]
    assert found.report.outcome.code == 1


def test_the_same_results_and_a_gain_pass(tmp_path: Path) -> None:
    base = write(tmp_path / "base", 0.5)
    same = compared(base, write(tmp_path / "same", 0.5))
    assert details(same)[NAME] == "pass: the same results"
    assert same.report.outcome is Outcome.PASS
    # A drop of 1 point could not be seen here, but these data exclude one.
    gain = compared(base, write(tmp_path / "gain", 0.9, trained=1))
    numbers = gain.verdicts[0].numbers
    assert numbers is not None
    assert numbers.seen_from > 2 * numbers.margin
    assert gain.report.outcome is Outcome.PASS


def test_holm_steps_down_and_stops_at_the_first_that_fails() -> None:
    assert holm({"a": 0.001, "b": 0.02, "c": 0.03, "d": 0.9, "e": None}) == ["a"]
    assert holm({"a": 0.001, "b": 0.012, "c": 0.03}) == ["a", "b", "c"]
    assert holm({}) == []


def test_what_cannot_be_told_is_inconclusive_until_the_margin_allows_it(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", trained=1)
    narrow = compared(base, new)
    assert narrow.report.outcome is Outcome.INCONCLUSIVE
    assert any("a drop of twice the margin could be missed" in note for note in narrow.report.notes)
    numbers = narrow.verdicts[0].numbers
    assert numbers is not None
    need = numbers.seen_from - numbers.margin
    enough, less = (compared(base, new, margins=Margins(need * factor)) for factor in (1.001, 0.999))
    assert enough.report.outcome is Outcome.PASS
    wider = enough.verdicts[0].numbers
    assert wider is not None
    assert wider.seen_from - wider.margin == pytest.approx(need)
    assert less.report.outcome in (Outcome.INCONCLUSIVE, Outcome.PASS)


def test_history_lets_a_drop_be_seen_that_three_seeds_alone_do_not_show(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", 0.66, trained=1)
    alone = compared(base, new)
    earlier = [write(tmp_path / f"earlier{number}", trained=10 + number) for number in range(4)]
    helped = compared(base, new, history=earlier)
    first, second = alone.verdicts[0].numbers, helped.verdicts[0].numbers
    assert first is not None
    assert second is not None
    assert second.seen_from < first.seen_from
    assert second.p_value < first.p_value
    assert helped.report.outcome is Outcome.FAIL


def test_where_lower_is_better_a_rise_is_the_drop(tmp_path: Path) -> None:
    cards = {TASK: card(TASK, higher_is_better=False)}
    low, high = write(tmp_path / "low", 0.5, cards=cards), write(tmp_path / "high", 0.9, trained=1, cards=cards)
    assert compared(low, high).report.outcome is Outcome.FAIL
    assert compared(high, low).report.outcome is Outcome.PASS


def test_a_collapse_that_no_item_escapes_fails(tmp_path: Path) -> None:
    found = compared(write(tmp_path / "base", 1.0), write(tmp_path / "new", 0.0, trained=1))
    assert found.report.outcome is Outcome.FAIL


def test_a_correlation_is_judged_by_its_score(tmp_path: Path) -> None:
    cards = {TASK: card(TASK, "matthews")}
    base, new = write(tmp_path / "base", 0.9, cards=cards), write(tmp_path / "new", 0.6, trained=1, cards=cards)
    numbers = compared(base, new).verdicts[0].numbers
    assert numbers is not None
    assert numbers.drop == pytest.approx(numbers.base - numbers.new)
    assert compared(base, new).report.outcome is Outcome.FAIL


def test_more_cells_make_each_harder_to_fail_and_equal_ones_do_not(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", 0.6, trained=1)
    alone = compared(base, new).verdicts[0].numbers
    for rank in range(5):
        write(base, values={"rank": rank}, trained=5)
        write(new, values={"rank": rank}, trained=5)
    same = {verdict.match.either.name: verdict.numbers for verdict in compared(base, new).verdicts}
    assert same[NAME] == alone
    for rank in range(5, 9):
        write(base, values={"rank": rank}, trained=6)
        write(new, values={"rank": rank}, trained=7)
    many = {verdict.match.either.name: verdict.numbers for verdict in compared(base, new).verdicts}[NAME]
    assert many is not None
    assert alone is not None
    assert many.seen_from > alone.seen_from
    assert many.p_value == alone.p_value


def test_verdicts_come_worst_first_whatever_the_order_of_files(tmp_path: Path) -> None:
    base, new = tmp_path / "base", tmp_path / "new"
    chances = {"fail": 0.3, "pass": 0.99, "inconclusive": 0.8}
    for number, (method, chance) in enumerate(chances.items()):
        write(base, method=method)
        write(new, chance, trained=number + 1, method=method)
    write(base, method="gone")
    outcomes = [verdict.outcome for verdict in compared(base, new).verdicts]
    assert outcomes == [Outcome.FAIL, Outcome.NO_DATA, Outcome.INCONCLUSIVE, Outcome.PASS]


def test_margins_are_points_for_percentages_and_own_units_for_others() -> None:
    percent, rating = Measure("accuracy", True, "%", 0.5, 1.0), Measure("judge.rating", True, "", 1.0, 10.0)
    assert (Margins().of(percent), Margins().of(rating)) == (1.0, 0.1)
    margins = parse_margins(["2", "judge.rating=0.5", "f1=3"])
    assert (margins.of(percent), margins.of(rating)) == (2.0, 0.5)
    assert margins.of(percent._replace(name="f1")) == 3.0


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "one", "", "accuracy=", "accuracy=-2"])
def test_a_margin_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="give a number above 0"):
        parse_margins([text])


def test_a_margin_of_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="accuracy"):
        parse_margins(["acuracy=1"])


def test_a_dropped_test_item_is_no_data(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base"), write(tmp_path / "new", trained=1, num_items=199)
    found = compared(base, new)
    assert details(found)[NAME] == "no data: items differ: of 200 of the baseline 1 are gone, 0 are new"
    assert found.report.outcome.code == 4


def test_what_was_never_promised_does_not_block(tmp_path: Path) -> None:
    base, new = write(tmp_path / "base", 0.5), write(tmp_path / "new", 0.9, trained=1)
    for side in (base, new):
        Made(method="fish", status="not_applicable").write(side)
    found = compared(base, new)
    assert found.report.outcome is Outcome.PASS
    assert [check.mark for check in found.report.checks] == ["not looked at", "pass"]

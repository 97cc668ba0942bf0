"""Panels: all pairs as one pair alone would be, and draws that vary as the intervals say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.metric import METRICS
from leaderboard.panel import UNDEFINED, panel_of
from leaderboard.spread import Matrix, mean_squares, verdict_degrees
from leaderboard.statistics import Entry, paired_difference
from tests.leaderboard.simulated import answers, entries, panel


def made(number: int = 6, seeds: int = 3, items: int = 80, spread: float = 0.4) -> Matrix:
    return np.asarray(
        answers(np.random.default_rng(3), 1, list(np.linspace(0, 2, number)), (seeds, items), [spread] * number)[0]
    )


def test_a_pair_alone_is_the_paired_difference() -> None:
    cells = entries(made(2))
    found = panel_of(cells, True)
    assert found is not None
    expected = paired_difference(cells["e0"], cells["e1"])
    assert found.difference(0, 1)[:3] == pytest.approx(expected[:3])
    by_seed = stats.ttest_rel(*found.units.mean(axis=2))
    squares = mean_squares(cells["e0"].units - cells["e1"].units)
    assert expected.error is not None
    ratio = abs(expected.estimate) / expected.error
    crossed = 2 * stats.t.sf(ratio, verdict_degrees(squares, found.units.shape[2], found.num_seeds - 1))
    assert found.pairs.p_value[0, 1] == pytest.approx(max(crossed, by_seed.pvalue))
    assert by_seed.pvalue != pytest.approx(crossed)
    assert expected.p_value is not None
    assert crossed >= expected.p_value
    assert found.pairs.degrees[0, 1] == pytest.approx(expected.degrees)


def test_every_pair_of_a_family_that_lends_nothing_is_the_paired_difference() -> None:
    # Three entries, one of which no seed moves: nobody lends.
    units = made(3)
    units[1] = units[1, 0]
    cells = entries(units)
    found = panel(units)
    assert found.prior.degrees == 0
    for first, second in [(0, 1), (1, 2), (0, 2)]:
        one = paired_difference(cells[f"e{first}"], cells[f"e{second}"])
        assert found.pairs.error[first, second] == pytest.approx(one.error)
        assert found.pairs.degrees[first, second] == pytest.approx(one.degrees)


def test_a_family_replaces_the_mean_square_of_seeds_by_its_moderated_one() -> None:
    found = panel(made(6))
    free, lent = found.num_seeds - 1, found.prior.degrees
    assert lent > 0
    means = found.units.mean(axis=2)
    gap = means[1] - means[4]
    own = found.units.shape[2] * gap.var(ddof=1)
    both = found.prior.squares[1] + found.prior.squares[4]
    products = found.products.seed
    assert own < both
    assert found.pairs.seed_error[1, 4] ** 2 * found.units[0].size == pytest.approx(
        (free * own + lent * both) / (free + lent)
    )
    moderated = products[1, 1] + products[4, 4] - 2 * products[1, 4]
    assert moderated == pytest.approx((free * own + lent * both) / (free + lent))
    assert found.pairs.seed_error[1, 4] ** 2 * found.units[0].size == pytest.approx(moderated)
    assert both == pytest.approx(2 * np.mean(found.units.shape[2] * means.var(axis=1, ddof=1)))


def test_the_order_of_entries_and_their_number_of_items_do_not_matter() -> None:
    cells = entries(made())
    shorter = {name: cells[name].part([2, 0, 1], cells[name].item_ids[::-1]) for name in reversed(cells)}
    first, second = panel_of(cells, True), panel_of(shorter, True)
    assert first is not None
    assert second is not None
    assert first.pairs.error == pytest.approx(second.pairs.error, nan_ok=True)
    assert first.names == second.names


def test_equal_entries_are_not_told_apart_and_draw_alike() -> None:
    units = made()
    units[4] = units[1]
    found = panel(units)
    assert found.pairs.p_value[1, 4] == 1
    assert np.isnan(found.pairs.error[1, 4])
    assert found.difference(1, 4).low is None
    assert found.draws is not None
    assert np.isfinite(found.draws).all()


def test_what_no_seed_moves_draws_equal_to_its_twin() -> None:
    units = made()
    units[4] = units[1] = units[1, 0]
    draws = panel(units).draws
    assert draws is not None
    assert (draws[:, 1] == draws[:, 4]).all()


def test_draws_vary_as_the_intervals_say() -> None:
    found = panel(made(5, seeds=5, items=400, spread=0.5))
    assert found.draws is not None
    assert found.draws.mean(axis=0) == pytest.approx(found.means, abs=0.005)
    spread = np.quantile(found.draws, [0.025, 0.975], axis=0)
    half = stats.t.ppf(0.975, found.spread.degrees) * np.sqrt(found.spread.variance)
    assert (spread[1] - spread[0]) / 2 == pytest.approx(half, rel=0.1)
    # Pairs whose own seeds differ more than the family's have a wider interval, which draws do not share.
    num_items, means = found.units.shape[2], found.units.mean(axis=2)
    products = found.products.seed
    pairs = [(one, other) for one in range(5) for other in range(one)]
    plain = [
        (one, other)
        for one, other in pairs
        if num_items * (means[one] - means[other]).var(ddof=1)
        < products[one, one] + products[other, other] - 2 * products[one, other]
    ]
    assert 0 < len(plain) < len(pairs)
    for one, other in plain:
        gaps, gap = found.draws[:, one] - found.draws[:, other], found.difference(one, other)
        assert gap.low is not None
        assert gap.high is not None
        assert np.quantile(gaps, 0.975) - np.quantile(gaps, 0.025) == pytest.approx(gap.high - gap.low, rel=0.15)


def test_draws_are_the_same_on_every_build_and_differ_between_keys() -> None:
    first, again = panel(made()), panel(made())
    assert first.draws is not None
    assert again.draws is not None
    assert first.draws.tobytes() == again.draws.tobytes()
    other = replace(first, key="another")
    assert other.draws is not None
    assert abs(np.corrcoef(first.draws[:, 0], other.draws[:, 0])[0, 1]) < 0.05


def test_one_seed_ranks_nothing_and_draws_nothing() -> None:
    found = panel(made(seeds=1))
    assert not found.ranks
    assert found.draws is None
    assert found.difference(0, 1).basis == "items only"


def test_a_metric_that_is_undefined_leaves_its_entry_out_and_says_so() -> None:
    references = np.array([1.0, 2.0, 2.0, 3.0])
    ids = ("a", "b", "c", "d")

    def cell(predictions: list[float]) -> Entry:
        rows = METRICS["pearson"].rows(predictions, references.tolist())
        return Entry(METRICS["pearson"], ids, ids, {0: rows, 1: rows})

    cells = {"flat": cell([1.0, 1.0, 1.0, 2.0]), "fine": cell([1.0, 2.0, 2.5, 2.0]), "good": cell([1.0, 2.0, 2.0, 4.0])}
    found = panel_of(cells, True)
    assert found is not None
    assert found.names == ("fine", "good")
    assert found.left_out == {"flat": UNDEFINED}


def test_metrics_do_not_mix() -> None:
    cells = entries(made(2))
    cells["e1"] = replace(cells["e1"], metric=METRICS["f1"])
    with pytest.raises(ValueError, match=r"scored by \['accuracy', 'f1'\]"):
        panel_of(cells, True)


def test_a_combination_is_the_interval_of_the_combined_items() -> None:
    found = panel(made(3))
    whole = found.combination({"e0": 0.5, "e2": 0.5})
    assert whole.estimate == pytest.approx((found.means[0] + found.means[2]) / 2)
    assert whole.error is not None
    assert found.combination({"e0": 1.0, "e2": -1.0}).estimate == pytest.approx(found.means[0] - found.means[2])

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import NoData, UnknownName
from harness.record import Digests, EpochMetrics, Record
from runners.reproduce import Reproduction, compare, look_up, numbers, seed_interval
from tests.runners.matrices import a_record, specs, write

SEEDS = specs("lora", seeds=[0, 1, 2, 3])
SCORES = (0.50, 0.54, 0.46, 0.52)


def again(now: Record, recorded: Record | None = None, seeds: int = 4) -> Reproduction:
    others = [a_record(spec, score) for spec, score in zip(SEEDS[:seeds], SCORES, strict=False)]
    return compare(recorded or others[0], now, others)


def trial(**changes: Any) -> Record:
    spec = SEEDS[0].model_copy(update={"purpose": "trial"})
    epochs = tuple(
        EpochMetrics(epoch=number, train_loss=1.0, validation_loss=0.7 / number, metrics={"accuracy": 0.4 * number})
        for number in (1, 2)
    )
    return a_record(spec, scores=(), **{"validation": epochs, "best_epoch": 2, **changes})


@pytest.mark.parametrize(
    ("now", "seeds", "verdict"),
    [(0.50, 1, "equal"), (0.50, 4, "equal"), (0.51, 4, "within"), (0.70, 4, "outside"), (0.51, 1, "inconclusive")],
)
def test_a_number_is_equal_within_outside_or_cannot_be_judged(now: float, seeds: int, verdict: str) -> None:
    found = again(a_record(SEEDS[0], now), seeds=seeds)
    assert [one.verdict for one in found.comparisons] == [verdict]
    assert found.verdict == verdict
    assert list(found.lines())[-1] == f"run {SEEDS[0].run_id}: {verdict}"


def test_the_seed_interval_is_where_a_further_seed_would_fall() -> None:
    """By hand: mean 0.5, deviation 0.1, t(0.975, 2) = 4.302653, times sqrt(4 / 3)."""
    found = seed_interval([0.4, 0.5, 0.6])
    assert (found.low, found.high) == pytest.approx((0.5 - 0.496828, 0.5 + 0.496828), abs=1e-6)
    assert found.num_seeds == 3


def test_ninety_five_of_a_hundred_further_seeds_fall_into_it() -> None:
    import numpy as np

    draws = np.random.default_rng(0).normal(size=(4000, 4))
    inside = 0
    for *known, further in draws.tolist():
        found = seed_interval(known)
        inside += found.low <= further <= found.high
    assert 0.94 < inside / len(draws) < 0.96


def test_only_seeds_of_the_same_cell_code_data_and_weights_count() -> None:
    (other_method,) = specs("bitfit", seeds=[1])
    recorded, now = a_record(SEEDS[0], 0.50), a_record(SEEDS[0], 0.51)
    strangers = [
        a_record(other_method, 0.6),
        a_record(SEEDS[1], 0.6, status="failed"),
        a_record(SEEDS[1].model_copy(update={"purpose": "trial"}), 0.6),
        a_record(SEEDS[1], 0.6, digests=Digests(weights="w", code="older")),
        a_record(SEEDS[0], 0.6),
    ]
    assert compare(recorded, now, strangers).verdict == "inconclusive"
    assert compare(recorded, now, [*strangers, a_record(SEEDS[2], 0.6)]).verdict == "within"


def test_what_differs_in_environment_data_weights_and_code_is_named() -> None:
    now = a_record(SEEDS[0], 0.50)
    other = {name: value for name, value in now.environment.items() if name != "python"} | {
        "torch": "1.0",
        "threads": 4,
    }
    now = now.model_copy(update={"environment": other, "digests": Digests(data={}, weights="x", code="c")})
    found = again(now)
    assert {one.name for one in found.environment} == {"torch", "threads", "python"}
    assert {one.name for one in found.digests} == {"weights", "data embedded/polarity:train"}
    text = "\n".join(found.lines())
    assert "made of: weights w then, x now" in text
    assert "environment: threads 1 then, 4 now" in text
    assert again(a_record(SEEDS[0], 0.50)).environment == ()


def test_items_are_compared_to_the_bit_where_there_are_any() -> None:
    now = a_record(SEEDS[0], 0.50)
    assert again(now).items_equal is True
    assert again(now.model_copy(update={"digests": Digests(items="other")})).items_equal is False
    assert again(now.model_copy(update={"digests": Digests()})).items_equal is None


def test_another_status_is_outside_and_an_equal_failure_is_equal() -> None:
    good, failed = a_record(SEEDS[0], 0.50), a_record(SEEDS[0], status="failed")
    found = again(failed, good)
    assert found.verdict == "outside"
    assert next(found.lines()) == "status: ok then, failed now (ValueError: no luck)"
    assert again(failed, failed).verdict == "equal"
    assert again(good, failed).verdict == "outside"


def test_a_number_that_is_undefined_on_one_side_alone_is_outside() -> None:
    assert again(a_record(SEEDS[0], None)).verdict == "outside"
    assert again(a_record(SEEDS[0], None), a_record(SEEDS[0], None)).verdict == "equal"


def test_a_trial_is_judged_by_its_validation_at_the_best_epoch() -> None:
    assert numbers(trial()) == {"validation accuracy": 0.8, "validation loss": 0.35}
    worse = trial(best_epoch=1)
    assert compare(trial(), trial(), []).verdict == "equal"
    assert compare(trial(), worse, []).verdict == "inconclusive"


def test_a_record_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    for spec in SEEDS:
        write(a_record(spec), tmp_path / "deep")
    found = look_up(SEEDS[2].run_id[:10], [tmp_path / "gone", tmp_path])
    assert found.recorded.spec == SEEDS[2]
    assert len(found.others) == 4
    with pytest.raises(UnknownName, match="ambiguous"):
        look_up("", [tmp_path])
    with pytest.raises(NoData, match=r"no record of run 'zzz' in .*--out DIR"):
        look_up("zzz", [tmp_path])


@pytest.mark.parametrize(
    "changes", [{"status": "lost"}, {"status": "cancelled"}, {"status": "timed_out"}, {"scores": ()}]
)
def test_a_record_without_a_number_has_nothing_to_come_back_to(tmp_path: Path, changes: dict[str, Any]) -> None:
    write(a_record(SEEDS[0], **changes), tmp_path)
    with pytest.raises(NoData, match="no number to come back to"):
        look_up(SEEDS[0].run_id, [tmp_path])


def test_the_json_has_one_entry_per_number(tmp_path: Path) -> None:
    facts = again(a_record(SEEDS[0], 0.51)).as_json()
    assert facts.keys() == {"run_id", "verdict", "status", "metrics", "items_equal", "environment", "digests"}
    (metric,) = facts["metrics"]  # type: ignore[misc]  # a list by its docstring
    assert isinstance(metric, dict)
    assert metric.keys() == {"name", "recorded", "now", "verdict", "interval"}
    assert isinstance(metric["interval"], dict)
    assert metric["interval"].keys() == {"low", "high", "num_seeds"}

"""Claims about what is held against short runs and floors, on runs written down here."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pydantic import JsonValue, ValidationError

from harness import registry
from harness.gate import Outcome
from harness.task import TaskCard
from runners.regression import micro
from runners.regression.training import CELLS, Ran

FINE = (0.7, 0.71, 0.6, 0.61)
HEAD = (0.7, 0.71, 0.65, 0.66)
TODAY = date(2026, 11, 27)
BY_HEART = "full learns a few rows by heart"


def ran(method: str = "lora", protocol: str = "classify", **facts: object) -> Ran:
    usual = Ran(method, protocol, "ok", "", FINE, "8 items, abc", 0.5, 10, True, 0.1)
    return usual._replace(**facts)  # type: ignore[arg-type]


def why(*runs: Ran, known: dict[str, JsonValue] | None = None) -> dict[str, str]:
    checks = micro.run_checks(runs, dict(known or {}), TODAY)
    return {check.name: check.detail for check in checks if check.counted is Outcome.FAIL}


def test_a_run_that_ends_well_and_moves_what_it_trains_passes() -> None:
    head = ran("head_only", losses=HEAD, trained=0, moved=False)
    base = ran("base", losses=(0.7,), trained=0, moved=False)
    outside = ran("bitfit", "prompt", status="not_applicable", losses=(), trained=0, moved=False)
    assert why(head, base, outside, ran()) == {}


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"status": "failed", "message": "no luck"}, "ended as failed: no luck"),
        ({"status": "diverged", "message": "NaN"}, "ended as diverged: NaN"),
        ({"moved": False}, "trains nothing: none of its 10 scalars"),
        ({"trained": 0, "moved": False}, "trains nothing: it counts no scalar"),
        ({"losses": HEAD}, "its losses are those of training the head alone"),
        ({"losses": FINE[:2]}, "4 finite ones are due"),
        ({"losses": (*FINE[:3], float("inf"))}, "4 finite ones are due"),
    ],
)
def test_a_run_that_goes_wrong_fails(facts: dict[str, object], reason: str) -> None:
    head = ran("head_only", losses=HEAD, trained=0, moved=False)
    found = why(head, ran(**facts))
    assert list(found) == ["lora, classify"]
    assert reason in found["lora, classify"]


def test_what_is_known_to_go_wrong_is_waived_until_it_goes_well() -> None:
    entry: dict[str, JsonValue] = {"reason": "it is Tuesday", "owner": "ada", "expires": str(TODAY)}
    known: dict[str, JsonValue] = {"lora, classify": entry}
    unlucky = ran(status="failed", message="no luck")
    (check,) = micro.run_checks([unlucky], known, TODAY)
    assert check.waived == f"it is Tuesday; ada, until {TODAY}"
    assert "leave it out" in why(ran(), known=known)["lora, classify"]
    (check,) = micro.run_checks([unlucky], known, TODAY + timedelta(days=1))
    assert check.counted is Outcome.FAIL
    assert f"no luck; ada expected that until {TODAY} (it is Tuesday)" in check.detail
    with pytest.raises(ValidationError, match="owner"):
        list(micro.run_checks([unlucky], {"lora, classify": {"reason": "r", "expires": str(TODAY)}}, TODAY))


def test_items_that_differ_between_methods_are_both_named() -> None:
    runs = [ran(), ran("full", items="7 items, def"), ran("full", "span"), ran("fish", "image", items="")]
    assert micro.items(runs) == {"classify": "7 items, def; or 8 items, abc", "span": "8 items, abc"}


def test_losses_are_of_our_own_methods() -> None:
    runs = [ran(), ran("bitfit", "prompt", status="not_applicable", losses=()), ran("theirs")]
    assert micro.losses(runs) == {"lora, classify": list(FINE), "bitfit, prompt": "not applicable"}


def floor_runs(**changes: Ran) -> list[Ran]:
    """Return runs that reach every floor, in their order, but for those changed by place."""
    runs = [
        ran(spec.method, spec.protocol, losses=(4.0, 4.0, 0.1, 4.0), score=1.0 if spec.method == "full" else 0.1)
        for spec in micro.floor_specs()
    ]
    for place, changed in changes.items():
        runs[int(place.removeprefix("n"))] = changed
    return runs


def outcomes(runs: list[Ran]) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in micro.floor_checks(runs)}


def test_every_protocol_has_a_floor_and_most_have_two() -> None:
    found = outcomes(floor_runs())
    assert set(found.values()) == {Outcome.PASS}
    assert [name for name in found if "by heart" in name] == [
        f"full learns a few rows by heart, {one}" for one in CELLS
    ]
    assert len(found) == 2 * len(CELLS) - 1, "classify cannot be learned from random weights in seconds"


def test_a_loss_that_hardly_falls_fails_its_floor() -> None:
    place = next(n for n, spec in enumerate(micro.floor_specs()) if spec.protocol == "span")
    found = outcomes(floor_runs(**{f"n{place}": ran("full", "span", losses=(4.0, 4.0, 3.9, 4.0))}))
    assert [name for name, outcome in found.items() if outcome is Outcome.FAIL] == [
        "full learns a few rows by heart, span"
    ]


def test_a_score_that_hardly_beats_the_backbone_fails_its_floor() -> None:
    last = len(micro.floor_specs()) - 1
    found = outcomes(floor_runs(**{f"n{last}": ran("full", "image", score=0.2)}))
    assert [name for name, outcome in found.items() if outcome is Outcome.FAIL] == ["full beats base, image"]


def test_a_floor_whose_run_fails_fails() -> None:
    last = len(micro.floor_specs()) - 1
    found = outcomes(floor_runs(**{f"n{last}": ran("full", "image", status="failed")}))
    assert found["full, image"] is Outcome.FAIL


def test_the_cells_meet_their_tasks_by_a_protocol_of_theirs() -> None:
    for protocol, cell in CELLS.items():
        assert protocol in TaskCard.model_validate(registry.tasks()[cell.task].card).protocols

"""A verdict follows from records: supported, not supported or cannot tell, with the comparisons that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record import EpochMetrics
from harness.spec import Budget
from leaderboard.cells import Section
from leaderboard.claims import QUESTIONS, Contest, Question, Side, Trend, judged
from leaderboard.grouping import in_words
from leaderboard.load import load_records
from leaderboard.site import Site
from tests.leaderboard.making import Made, answers

RATES = (1e-4, 1e-3, 1e-2, 1e-1)
NEW, OLD = Side("new"), Side("old")


def contested(folder: Path, wrong: dict[str, int], seeds: int = 3, suite: str = "toy") -> tuple[Section, ...]:
    """Return sections in which each method has so many of 400 answers wrong, on two tasks."""
    for place, (method, count) in enumerate(wrong.items()):
        for task in ("glue/sst2", "glue/rte"):
            for seed in range(seeds):
                made = Made(method=method, task=task, seed=seed, suite=suite)
                made.items = {task: answers(400, count + seed, 10 * place + seed)}  # other items are wrong for each
                made.write(folder)
    return Site.of(load_records([folder])).sections


@pytest.mark.parametrize(
    ("wrong", "margin", "outcome"),
    [
        ({"new": 20, "old": 80}, 0.0, "supported"),
        ({"new": 80, "old": 20}, 0.0, "not supported"),
        ({"new": 80, "old": 79}, 0.0, "cannot tell"),
        ({"new": 80, "old": 79}, 0.2, "supported"),
        ({"new": 20}, 0.0, "cannot tell"),
    ],
)
def test_a_contest_is_decided_by_paired_differences(
    tmp_path: Path, wrong: dict[str, int], margin: float, outcome: str
) -> None:
    (verdict,) = judged(
        [Question(("toy",), Contest("new is better", ((NEW, OLD),), margin))], contested(tmp_path, wrong)
    )
    assert verdict.outcome == outcome
    assert (verdict.suite, verdict.backbone) == ("toy", "package:tiny/model")
    wanted = (
        "no row of old" if "old" not in wrong else f"{(wrong['old'] - wrong['new']) / 4:+.1f} points, 95 % interval"
    )
    assert verdict.evidence[0].startswith(f"new - old: {wanted}")


def test_one_seed_tells_nothing(tmp_path: Path) -> None:
    sections = contested(tmp_path, {"new": 20, "old": 80}, seeds=1)
    (verdict,) = judged([Question(("toy",), Contest("new is better", ((NEW, OLD),)))], sections)
    assert (verdict.outcome, verdict.evidence) == ("cannot tell", ("new - old: glue/rte: one seed",))


def test_all_pairs_must_hold_and_one_can_fail_it(tmp_path: Path) -> None:
    sections = contested(tmp_path, {"new": 40, "old": 80, "other": 41, "best": 4})
    half = Contest("", ((NEW, OLD), (NEW, Side("other"))))
    assert [one.outcome for one in judged([Question(("toy",), half)], sections)] == ["cannot tell"]
    failed = Contest("", ((NEW, OLD), (NEW, Side("best"))))
    assert [one.outcome for one in judged([Question(("toy",), failed)], sections)] == ["not supported"]
    assert list(judged([Question(("another",), half)], sections)) == []


def searched(folder: Path, losses: dict[int, tuple[float, ...]]) -> tuple[Section, ...]:
    """Return sections with trials: trained scalars to the validation loss at each of the rates."""
    for trained, row in losses.items():
        for rate, loss in zip(RATES, row, strict=True):
            epoch = EpochMetrics(epoch=1, train_loss=1.0, validation_loss=loss, metrics={})
            training = {"purpose": "trial", "training": {"lr": rate}}
            made = Made(method="mask", budget=Budget(count=trained), trained=trained, suite="toy", spec=training)
            made.validation, made.items = [epoch], {made.task: answers(10, 1)}
            made.write(folder)
    final = Made(method="mask", suite="toy", items={"glue/sst2": answers(10, 1)})
    final.write(folder)
    return Site.of(load_records([folder])).sections


LOW, MIDDLE, HIGH = (0.5, 0.9, 0.9, 0.9), (0.9, 0.5, 0.505, 0.9), (0.9, 0.9, 0.9, 0.5)


@pytest.mark.parametrize(
    ("losses", "outcome"),
    [
        ({1000: LOW, 100: MIDDLE, 10: HIGH}, "supported"),
        ({1000: HIGH, 100: MIDDLE, 10: LOW}, "not supported"),
        ({1000: LOW, 100: LOW, 10: LOW}, "not supported"),
        ({1000: LOW, 100: HIGH, 10: MIDDLE}, "cannot tell"),
        ({1000: MIDDLE, 10: MIDDLE}, "cannot tell"),
        ({1000: LOW}, "cannot tell"),
    ],
)
def test_a_trend_is_decided_by_the_rates_that_are_as_good_as_the_best(
    tmp_path: Path, losses: dict[int, tuple[float, ...]], outcome: str
) -> None:
    (verdict,) = judged([Question(("toy",), Trend("rises", "mask"))], searched(tmp_path, losses))
    assert verdict.outcome == outcome
    assert len(verdict.evidence) == len(losses)
    if MIDDLE in losses.values():
        assert any(line.endswith("trained: best rate 0.001 or 0.01") for line in verdict.evidence)


@pytest.mark.parametrize(
    "question", [one for asked in QUESTIONS.values() for one in asked], ids=lambda question: question.suites[-1]
)
def test_every_claim_is_of_rows_that_its_twin_has(question: Question) -> None:
    from harness.matrix import expand
    from harness.suite import read

    specs, claim = expand(read(question.suites[-1])).specs, question.claim
    asked = {(one.method, str(one.budget) if one.budget else "") for one in specs}
    if isinstance(claim, Trend):
        assert len({budget for method, budget in asked if method == claim.method}) > 2
        return
    for side in (side for pair in claim.pairs for side in pair):
        assert (side.method, side.budget) in asked
        of_method = [
            {key: in_words(value) for key, value in one.values.items()} for one in specs if one.method == side.method
        ]
        meant = [values for values in of_method if set(side.values) <= values.items()]
        assert meant, f"no row of {side}"
        assert all(values == meant[0] for values in meant), f"several rows of {side}"


def test_every_paper_with_a_suite_of_ours_has_its_question() -> None:
    assert {name: len(asked) for name, asked in QUESTIONS.items()} == {
        "random_masking": 1,
        "fish": 3,
        "pst": 1,
        "goft": 1,
    }

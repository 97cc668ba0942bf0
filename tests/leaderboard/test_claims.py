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


def searched(
    folder: Path, losses: dict[int, tuple[float, ...]], task: str = "glue/sst2", seed: int = 0
) -> tuple[Section, ...]:
    """Return sections with trials: trained scalars to the validation loss at each of the rates."""
    for trained, row in losses.items():
        for rate, loss in zip(RATES, row, strict=True):
            epoch = EpochMetrics(epoch=1, train_loss=1.0, validation_loss=loss, metrics={})
            training = {"purpose": "trial", "training": {"lr": rate}}
            budget = Budget(count=trained)
            made = Made("mask", task=task, seed=seed, budget=budget, trained=trained, suite="toy", spec=training)
            made.validation, made.items = [epoch], {made.task: answers(10, 1)}
            made.write(folder)
    final = Made(method="mask", task=task, seed=seed, suite="toy", items={task: answers(10, 1)})
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
        assert any("trained: best rate 0.001 or 0.01" in line for line in verdict.evidence)


def test_two_rows_that_guess_are_as_good_as_each_other_and_support_nothing(tmp_path: Path) -> None:
    claim = Contest("as good", ((NEW, OLD),), margin=0.2)
    sections = contested(tmp_path, {"new": 200, "old": 201})  # half of 400 answers, where chance is a half
    (verdict,) = judged([Question(("toy",), claim)], sections)
    assert verdict.outcome == "cannot tell"
    assert "new and old: neither is better than chance on glue/sst2" in verdict.evidence
    (verdict,) = judged([Question(("toy",), claim)], contested(tmp_path / "one", {"new": 150, "old": 201}))
    assert verdict.outcome == "supported"


def test_a_side_is_one_row_on_each_task_or_says_which_it_is_not(tmp_path: Path) -> None:
    for values, task, wrong in (
        ({"penalty": 1}, "glue/sst2", 20),
        ({"penalty": 2}, "glue/rte", 20),
        ({"penalty": 3, "head": 0}, "glue/rte", 30),
    ):
        for seed in range(3):
            made = Made(
                "new", values, task=task, seed=seed, suite="toy", items={task: answers(400, wrong + seed, seed)}
            )
            made.write(tmp_path)
    sections = contested(tmp_path, {"old": 80})
    for side, told in (
        (NEW, "new - old: several rows of new on glue/rte"),
        (Side("new", without=("head",)), "new - old: +15.0 points"),
        (Side("new", "1 %"), "new 1 % - old: no row of new 1 %"),
    ):
        (verdict,) = judged([Question(("toy",), Contest("", ((side, OLD),)))], sections)
        assert verdict.evidence[0].startswith(told)


def test_a_trend_must_hold_on_every_task_and_seeds_are_one_mean(tmp_path: Path) -> None:
    question = [Question(("toy",), Trend("rises", "mask"))]
    rising, falling = {1000: LOW, 10: HIGH}, {1000: HIGH, 10: LOW}
    searched(tmp_path, rising, task="glue/sst2")
    (verdict,) = judged(question, searched(tmp_path, falling, task="glue/rte"))
    assert verdict.outcome == "not supported"
    assert verdict.evidence[0] == "glue/rte, 1,000 trained: best rate 0.1 (an end of those tried, one seed)"
    searched(tmp_path / "seeds", {1000: (0.5, 0.9, 0.9, 0.9), 10: HIGH}, seed=0)
    (verdict,) = judged(question, searched(tmp_path / "seeds", {1000: (1.5, 0.9, 0.5, 0.9), 10: HIGH}, seed=1))
    assert verdict.evidence[0] == "glue/sst2, 1,000 trained: best rate 0.01"


EVERY_SUITE = [(name, one) for asked in QUESTIONS.values() for one in asked for name in one.suites]


@pytest.mark.parametrize(("suite", "question"), EVERY_SUITE, ids=[name for name, _ in EVERY_SUITE])
def test_every_claim_is_of_rows_that_its_suite_has(suite: str, question: Question) -> None:
    from harness.matrix import expand
    from harness.suite import read

    specs, claim = expand(read(suite)).specs, question.claim
    if isinstance(claim, Trend):
        assert len({spec.budget for spec in specs if spec.method == claim.method}) > 2
        return
    for side in (side for pair in claim.pairs for side in pair):
        asked = [
            (
                spec.backbone,
                spec.protocol,
                spec.train,
                tuple((key, in_words(value)) for key, value in spec.values.items()),
            )
            for spec in specs
            if spec.method == side.method and (str(spec.budget) if spec.budget else "") == side.budget
        ]
        meant = {
            one
            for one in asked
            if set(side.values) <= set(one[3]) and {key for key, _ in one[3]}.isdisjoint(side.without)
        }
        assert meant, f"no row of {side}"
        assert len(meant) == len({one[:3] for one in meant}), f"several rows of {side}"


def test_every_paper_with_a_suite_of_ours_has_its_question() -> None:
    assert {name: len(asked) for name, asked in QUESTIONS.items()} == {
        "random_masking": 1,
        "fish": 7,
        "pst": 1,
        "goft": 2,
    }

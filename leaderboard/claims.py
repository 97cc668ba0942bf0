"""Claims: what a paper says of its method, and whether the records of its suite, or of its small twin, bear it out.

A contest sets one row against another on all tasks that both have: the mean of the paired differences, with the
interval of averages. A claim is supported if that holds for every pair, not supported if it fails for one beyond doubt
(after Bonferroni), and else cannot be told. A trend looks at the trials of searches, at the rates that are
as good as the best.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from scipy import special

from leaderboard.averages import weighted
from leaderboard.cells import Row, Section, obstacle
from leaderboard.load import Run
from leaderboard.statistics import LEVEL, Interval, paired_difference

Outcome = Literal["supported", "not supported", "cannot tell"]
TIE = 0.02
"""Share by which a validation loss may be above the lowest and its rate still be as good as the best."""
FEWEST = 3
"""Rates of one size, under which nothing is said of the best."""


class Verdict(NamedTuple):
    """What the records of one suite and backbone say of a claim."""

    suite: str
    backbone: str
    claim: str
    outcome: Outcome
    evidence: tuple[str, ...]
    """One line for each comparison."""


class Side(NamedTuple):
    """Which row of a section."""

    method: str
    budget: str = ""
    values: tuple[tuple[str, str], ...] = ()

    def of(self, section: Section) -> Row | None:
        """Return that row; none where the section has no such one, or several."""
        wanted = set(self.values)
        found = [
            row
            for row in section.rows
            if row.method == self.method and row.budget == self.budget and wanted <= set(row.values)
        ]
        return found[0] if len(found) == 1 else None

    def __str__(self) -> str:
        return " ".join(filter(None, [self.method, self.budget, *(f"{key} {value}" for key, value in self.values)]))


class Contest(NamedTuple):
    """A claim that the first of each pair is better than the second, or not worse by more than a margin."""

    claim: str
    pairs: tuple[tuple[Side, Side], ...]
    margin: float = 0.0

    def judge(self, section: Section) -> Verdict:
        """Return what a section says of the claim."""
        found = [(first, second, difference(section, first, second)) for first, second in self.pairs]
        evidence = tuple(f"{first} - {second}: {_told(one)}" for first, second, one in found)
        known = [one for _, _, one in found if isinstance(one, Interval)]
        outcome: Outcome = "cannot tell"
        if any(_fails(one, self.margin, len(self.pairs)) for one in known):
            outcome = "not supported"
        elif len(known) == len(found) and all(one.low is not None and one.low > -self.margin for one in known):
            outcome = "supported"
        return Verdict(section.ground.suite, section.ground.backbone, self.claim, outcome, evidence)


class Trend(NamedTuple):
    """A claim that the best rate rises as a method gets smaller."""

    claim: str
    method: str

    def judge(self, section: Section) -> Verdict:
        """Return what the trials of a section say of the claim."""
        sizes = sorted(self._losses(section).items(), reverse=True)
        best = [(trained, _as_good(losses)) for trained, losses in sizes if len(losses) >= FEWEST]
        evidence = tuple(f"{trained:,} trained: best rate {_rates(rates)}" for trained, rates in best)
        outcome: Outcome = "cannot tell"
        if len(best) > 1:
            largest, smallest = best[0][1], best[-1][1]
            steps = [(before[1], after[1]) for before, after in zip(best, best[1:], strict=False)]
            falls = any(min(before) > max(after) for before, after in steps)
            if min(smallest) > max(largest) and not falls:
                outcome = "supported"
            elif min(largest) > max(smallest) or (largest == smallest and len(largest) == 1):
                outcome = "not supported"
        return Verdict(section.ground.suite, section.ground.backbone, self.claim, outcome, evidence)

    def _losses(self, section: Section) -> dict[int, dict[float, float]]:
        """Return trained scalars to rate to the lowest validation loss, of trials that came to an end."""
        found: dict[int, dict[float, float]] = defaultdict(dict)
        for run in section.trials:
            loss = _loss(run)
            if run.record.spec.method == self.method and run.record.counts and loss is not None:
                found[run.record.counts.trained][run.record.spec.training.lr] = loss
        return found


class Question(NamedTuple):
    """A claim, and the suites of which it is asked: the paper's own and its twin."""

    suites: tuple[str, ...]
    claim: Contest | Trend


def difference(section: Section, first: Side, second: Side) -> Interval | str:
    """Return the mean over tasks of first minus second, or why there is none."""
    rows = first.of(section), second.of(section)
    absent = [str(side) for side, row in zip((first, second), rows, strict=True) if row is None]
    if absent or rows[0] is None or rows[1] is None:
        return f"no row of {' and '.join(absent)}"
    parts = list[Interval]()
    for task in sorted(rows[0].cells.keys() & rows[1].cells.keys()):
        cells = [row.cells[task] for row in rows if row is not None]
        reasons = [reason for cell in cells if (reason := obstacle(cell))]
        entries = [cell.entry for cell in cells]
        if reasons or entries[0] is None or entries[1] is None:
            return f"{task}: {' and '.join(dict.fromkeys(reasons))}"
        parts.append(paired_difference(entries[0], entries[1]))
    return weighted([(1 / len(parts), part) for part in parts]) if parts else "no task in common"


def judged(questions: Sequence[Question], sections: Sequence[Section]) -> Iterator[Verdict]:
    """Yield what each section of a question's suites says of its claim."""
    for question in questions:
        for section in sections:
            if section.ground.suite in question.suites:
                yield question.claim.judge(section)


def _fails(one: Interval, margin: float, num_pairs: int) -> bool:
    if one.error is None or one.degrees is None:
        return False
    below = special.stdtr(one.degrees, (one.estimate + margin) / one.error)
    return bool(below < (1 - LEVEL) / 2 / num_pairs)


def _told(one: Interval | str) -> str:
    if isinstance(one, str):
        return one
    if one.low is None or one.high is None:
        return f"{100 * one.estimate:+.1f} points, no interval: {one.basis}"
    return f"{100 * one.estimate:+.1f} points, 95 % interval {100 * one.low:+.1f} to {100 * one.high:+.1f}"


def _loss(run: Run) -> float | None:
    record = run.record
    kept = next((epoch for epoch in record.validation if epoch.epoch == record.best_epoch), None)
    return kept.validation_loss if kept and record.status == "ok" else None


def _as_good(losses: dict[float, float]) -> tuple[float, ...]:
    """Return the rates whose loss is the lowest, or so near that nobody can tell, ascending."""
    return tuple(sorted(rate for rate, loss in losses.items() if loss <= min(losses.values()) * (1 + TIE)))


def _rates(rates: Sequence[float]) -> str:
    return " or ".join(f"{rate:g}" for rate in rates)


_HALF, _MOST = (("sparsity", "0.5"),), (("sparsity", "0.9"),)
_FIXED, _ANEW = (("choose", "fish"), ("reselect", "false")), (("choose", "fish"), ("reselect", "true"))
_OFTEN, _SELDOM = ((("choose", "fish"), ("masks", "disjoint"), ("merge_every", every)) for every in ("4", "30"))
QUESTIONS: dict[str, tuple[Question, ...]] = {
    "random_masking": (
        Question(
            ("random_masking", "random_masking_small"),
            Trend("the sparser the mask, the larger the best learning rate", "random_mask"),
        ),
    ),
    "fish": (
        Question(
            ("fish", "fish_small"),
            Contest(
                "a FISH mask is better than a random one of the same budget",
                tuple((Side("fish", size), Side("random_mask", size)) for size in ("0.05 %", "0.5 %")),
            ),
        ),
        Question(
            ("fish_updates_small",),
            Contest(
                "from scratch, a mask chosen anew every epoch is better than a fixed one",
                tuple(
                    (Side("sparse_update", size, _ANEW), Side("sparse_update", size, _FIXED))
                    for size in ("1 %", "10 %")
                ),
            ),
        ),
        Question(
            ("fish_distributed_small",),
            Contest(
                "two ranks that send sparse updates, often or seldom, are as good as dense training, by two points",
                tuple((Side("sparse_update", "0.5 %", values), Side("full")) for values in (_OFTEN, _SELDOM)),
                margin=0.02,
            ),
        ),
    ),
    "pst": (
        Question(
            ("pst", "pst_small"),
            Contest(
                "PST is as good as magnitude and movement pruning at 50 and 90 % of zeros, by two points",
                tuple(
                    (Side("pst", values=zeros), Side(rival, values=zeros))
                    for zeros in (_HALF, _MOST)
                    for rival in ("magnitude_prune", "movement_prune")
                ),
                margin=0.02,
            ),
        ),
    ),
    "goft": (
        Question(
            ("goft", "goft_small"),
            Contest(
                "GOFT, and qGOFT at its parameter count, are as good as LoRA, by one point",
                (
                    (Side("goft"), Side("lora", values=(("rank", "1"),))),
                    (Side("qgoft"), Side("lora", values=(("rank", "2"),))),
                ),
                margin=0.01,
            ),
        ),
    ),
}
"""By paper."""

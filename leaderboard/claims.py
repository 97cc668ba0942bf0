"""Claims: what a paper says of its method, and whether the records of its suite, or of its small twin, bear it out.

A contest sets one row against another on all tasks that both have: the mean of the paired differences, with the
interval of averages. A claim is supported if that holds for every pair, not supported if it fails for one beyond doubt
(after Bonferroni), and else cannot be told; that two rows which guess are as good as each other supports nothing. A
trend looks at the trials of searches, at the rates that are as good as the best.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from leaderboard.averages import weighted
from leaderboard.cells import Cell, Row, Section, obstacle
from leaderboard.columns import Column
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
    """Which rows of a section: one on each task, since a value may follow the task."""

    method: str
    budget: str = ""
    values: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    """Values that it leaves at their defaults."""

    def of(self, section: Section) -> dict[str, Cell] | str:
        """Return task to cell; why not where a task has several such rows, or none has any."""
        found: dict[str, Cell] = {}
        for row in filter(self._is, section.rows):
            for task, cell in row.cells.items():
                if cell.runs and found.setdefault(task, cell) is not cell:
                    return f"several rows of {self} on {task}"
        return found or f"no row of {self}"

    def _is(self, row: Row) -> bool:
        named = {name for name, _ in row.values}
        return (
            (row.method, row.budget) == (self.method, self.budget)
            and set(self.values) <= set(row.values)
            and named.isdisjoint(self.without)
        )

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
        evidence = [f"{first} - {second}: {_told(one)}" for first, second, one in found]
        known = [one for _, _, one in found if isinstance(one, Interval)]
        outcome: Outcome = "cannot tell"
        if any(_fails(one, self.margin, len(self.pairs)) for one in known):
            outcome = "not supported"
        elif len(known) == len(found) and all(one.low is not None and one.low > -self.margin for one in known):
            guesses = [
                guess for first, second in self.pairs if self.margin for guess in _guesses(section, first, second)
            ]
            evidence += guesses
            outcome = "cannot tell" if guesses else "supported"
        return Verdict(section.ground.suite, section.ground.backbone, self.claim, outcome, tuple(evidence))


class Trend(NamedTuple):
    """A claim that the best rate rises as a method gets smaller, on every task."""

    claim: str
    method: str

    def judge(self, section: Section) -> Verdict:
        """Return what the trials of a section say of the claim."""
        outcomes, evidence = list[Outcome](), list[str]()
        for task, sizes in sorted(self._losses(section).items()):
            best = [(trained, _as_good(losses)) for trained, losses in sorted(sizes.items(), reverse=True)]
            best = [(trained, rates) for trained, rates in best if len(sizes[trained]) >= FEWEST]
            evidence += [f"{task}, {trained:,} trained: best rate {_best(sizes[trained])}" for trained, _ in best]
            outcomes.append(_rises([rates for _, rates in best]))
        outcome: Outcome = "cannot tell"
        if "not supported" in outcomes:
            outcome = "not supported"
        elif outcomes and set(outcomes) == {"supported"}:
            outcome = "supported"
        return Verdict(section.ground.suite, section.ground.backbone, self.claim, outcome, tuple(evidence))

    def _losses(self, section: Section) -> dict[str, dict[int, dict[float, list[float]]]]:
        """Return task to trained scalars to rate to the validation losses of trials that came to an end."""
        found: dict[str, dict[int, dict[float, list[float]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for run in section.trials:
            spec, loss = run.record.spec, _loss(run)
            if spec.method == self.method and run.record.counts and loss is not None:
                found[spec.train][run.record.counts.trained][spec.training.lr].append(loss)
        return found


class Question(NamedTuple):
    """A claim, and the suites of which it is asked: the paper's own and its twin."""

    suites: tuple[str, ...]
    claim: Contest | Trend


def difference(section: Section, first: Side, second: Side) -> Interval | str:
    """Return the mean over tasks of first minus second, or why there is none."""
    sides = first.of(section), second.of(section)
    absent = [side for side in sides if isinstance(side, str)]
    if absent or isinstance(sides[0], str) or isinstance(sides[1], str):
        return " and ".join(absent)
    parts = list[Interval]()
    for task in sorted(sides[0].keys() & sides[1].keys()):
        cells = sides[0][task], sides[1][task]
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


def _guesses(section: Section, first: Side, second: Side) -> Iterator[str]:
    """Yield the tasks on which neither side is known to be better than chance: there both are good for nothing."""
    sides = [side for one in (first, second) if isinstance(side := one.of(section), dict)]
    for column in section.columns:
        cells = [side[column.task] for side in sides if column.task in side]
        if cells and column.measure.chance is not None and not any(_above_chance(cell, column) for cell in cells):
            yield f"{first} and {second}: neither is better than chance on {column.task}"


def _above_chance(cell: Cell, column: Column) -> bool:
    chance, interval = column.measure.chance, cell.interval
    if interval is None or interval.low is None or interval.high is None or chance is None:
        return False
    return interval.low > chance if column.measure.higher_is_better else interval.high < chance


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


def _as_good(losses: Mapping[float, Sequence[float]]) -> tuple[float, ...]:
    """Return the rates whose mean loss is the lowest, or so near that nobody can tell, ascending."""
    means = {rate: float(np.mean(found)) for rate, found in losses.items()}
    return tuple(sorted(rate for rate, loss in means.items() if loss <= min(means.values()) * (1 + TIE)))


def _rises(best: Sequence[tuple[float, ...]]) -> Outcome:
    """Return whether the best rates rise from the first size to the last."""
    if len(best) < 2:
        return "cannot tell"
    largest, smallest = best[0], best[-1]
    falls = any(min(before) > max(after) for before, after in itertools.pairwise(best))
    if min(smallest) > max(largest) and not falls:
        return "supported"
    if min(largest) > max(smallest) or (largest == smallest and len(largest) == 1):
        return "not supported"
    return "cannot tell"


def _best(losses: Mapping[float, Sequence[float]]) -> str:
    """Return the best rates of one size as evidence, with what a reader must know before leaning on it."""
    rates, few = _as_good(losses), min(map(len, losses.values()))
    ends = {min(losses), max(losses)} & set(rates)
    remarks = [*(["an end of those tried"] if ends else []), *(["one seed"] if few == 1 else [])]
    text = " or ".join(f"{rate:g}" for rate in rates)
    return f"{text} ({', '.join(remarks)})" if remarks else text


def _beats_random(sizes: Sequence[str]) -> Contest:
    claim = "a FISH mask is better than a random one of the same budget"
    return Contest(claim, tuple((Side("fish", size), Side("random_mask", size)) for size in sizes))


def _anew(sizes: Sequence[str]) -> Contest:
    fixed, anew = ((("choose", "fish"), ("reselect", often)) for often in ("false", "true"))
    return Contest(
        "from scratch, a mask chosen anew every epoch is better than a fixed one",
        tuple((Side("sparse_update", size, anew), Side("sparse_update", size, fixed)) for size in sizes),
    )


def _dense(sides: Sequence[Side]) -> Contest:
    return Contest(
        "two ranks that send sparse updates, often or seldom, are as good as dense training, by two points",
        tuple((side, Side("full")) for side in sides),
        margin=0.02,
    )


def _rotations(rank_of_goft: str) -> Contest:
    return Contest(
        "GOFT, and qGOFT at its parameter count, are as good as LoRA, by one point",
        (
            (Side("goft"), Side("lora", values=(("rank", rank_of_goft),))),
            (Side("qgoft"), Side("lora", values=(("rank", "2"),))),
        ),
        margin=0.01,
    )


_OFTEN, _SELDOM = ((("choose", "fish"), ("masks", "disjoint"), ("merge_every", every)) for every in ("4", "30"))
QUESTIONS: dict[str, tuple[Question, ...]] = {
    "random_masking": (
        Question(
            ("random_masking", "random_masking_small"),
            Trend("the sparser the mask, the larger the best learning rate", "random_mask"),
        ),
    ),
    "fish": (
        Question(("fish",), _beats_random(("0.02 %", "0.08 %", "0.1 %", "0.5 %", "2.1 %"))),
        Question(("fish_small",), _beats_random(("0.05 %", "0.5 %"))),
        Question(("fish_cifar10",), _anew(("0.5 %", "2 %", "10 %"))),
        Question(("fish_updates_small",), _anew(("0.5 %", "2 %"))),
        Question(
            ("fish_distributed",),
            _dense([Side("sparse_update", "0.5 %", (("merge_every", m),), ("choose",)) for m in ("10", "30", "100")]),
        ),
        Question(
            ("fish_cifar10_distributed",),
            Contest(
                "two ranks with one mask that merge seldom do better with a FISH mask than with a random one",
                tuple(
                    (
                        Side("sparse_update", size, (("merge_every", every),), ("choose",)),
                        Side("sparse_update", size, (("choose", "random"), ("merge_every", every))),
                    )
                    for size in ("0.5 %", "2 %", "10 %")
                    for every in ("100", "500", "2500")
                ),
            ),
        ),
        Question(
            ("fish_distributed_small",),
            _dense([Side("sparse_update", "0.5 %", values) for values in (_OFTEN, _SELDOM)]),
        ),
    ),
    "pst": (
        Question(
            ("pst", "pst_small"),
            Contest(
                "PST is as good as magnitude and movement pruning at 50 and 90 % of zeros, by two points",
                tuple(
                    (Side("pst", values=zeros, without=("train_head",)), Side(rival, values=zeros))
                    for zeros in ((("sparsity", "0.5"),), (("sparsity", "0.9"),))
                    for rival in ("magnitude_prune", "movement_prune")
                ),
                margin=0.02,
            ),
        ),
    ),
    "goft": (Question(("goft",), _rotations("2")), Question(("goft_small",), _rotations("1"))),
}
"""By paper."""

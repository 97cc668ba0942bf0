"""Comparison: new records against a baseline, from folders to a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError
from harness.gate import Check, Outcome, Report
from leaderboard.load import Loaded, load_records
from leaderboard.matching import cells_of, match
from leaderboard.past import past_of
from leaderboard.regressions import Margins, Verdict, verdicts
from leaderboard.releases import folder_of_records
from leaderboard.site import Judge
from leaderboard.waivers import Waiver, waive

RECORDS = "records"
"""Group of what is said of whole folders, which nothing waives."""


class Asked(NamedTuple):
    """What a comparison is asked for."""

    base: Path
    new: Path
    history: Sequence[Path] = ()
    """Further folders of records or releases, which say how much seeds vary."""
    margins: Margins = Margins()
    waivers: Sequence[Waiver] = ()
    today: date = date.max
    """The day that waivers are looked at."""


class Comparison(NamedTuple):
    """All cells of a comparison, worst first, and what is said of them."""

    verdicts: Sequence[Verdict]
    report: Report

    def lines(self) -> Iterator[str]:
        """Yield the table for people, worst first, and what the report says beside its cells."""
        marks = {(check.group, check.name): check.mark for check in self.report.checks}
        groups = {check.group for check in self.report.checks} - {one.match.either.group for one in self.verdicts}
        if self.verdicts:
            yield f"{'':<14}{'baseline':>9} {'new':>9} {'drop':>8} {'margin':>8} {'seen':>8}  cell"
        for verdict in self.verdicts:
            placed = verdict.match.either
            yield f"{marks[placed.group, placed.name]:<14}{_numbers(verdict)}  {placed.group}; {placed.name}"
        for check in self.report.checks:
            if check.group in groups:
                yield f"{check.mark:<14}{check.group}: {check.name}: {check.detail}"
        yield from self.report.notes
        yield f"{self.report.title}: {self.report.outcome.value.upper()} ({self.report.tally()})"


def _numbers(verdict: Verdict) -> str:
    if (got := verdict.numbers) is None:
        return f"{verdict.reason:<46}"
    parts = (f"{got.base:9.2f}", f"{got.new:9.2f}", f"{got.drop:8.2f}", f"{got.margin:8g}", f"{got.seen_from:8.2f}")
    return " ".join(parts)


def compare_records(asked: Asked, judge: Judge) -> Comparison:
    """Compare new records with a baseline.

    Args:
        asked: the folders, what is tolerated, and what somebody answers for.
        judge: says which of the new results are stale; those of a release are what they were.

    Raises:
        UserError: if a folder is not there or an altered release, or both sides are the same folder.
    """
    if asked.base.resolve() == asked.new.resolve():
        raise UserError(f"both sides are {asked.base}; give the folder of the baseline and that of the new records")
    places = {"the baseline": folder_of_records(asked.base), "the new records": folder_of_records(asked.new)}
    loaded = {which: load_records([place]) for which, place in places.items()}
    base, new = loaded.values()
    stale = judge.stale(run.record for run in new.runs) if places["the new records"] == asked.new else {}
    old_cells, new_cells = cells_of(base.runs, {}), cells_of(new.runs, stale)
    past = past_of(asked.history, [base, new])
    matches = match(old_cells.cells, new_cells.cells) if base.runs and new.runs else []
    found = verdicts(matches, past, asked.margins)
    checks, unused = waive([verdict.check() for verdict in found], asked.waivers, asked.today)
    whole = [*_of_folders(loaded, found), *(_unread(text) for text in (*old_cells.unreadable, *new_cells.unreadable))]
    return Comparison(found, Report("compare", (*whole, *checks), (*_notes(found, loaded), *unused)))


def _of_folders(loaded: Mapping[str, Loaded], found: Sequence[Verdict]) -> Iterator[Check]:
    for which, side in loaded.items():
        if not side.runs:
            yield Check(RECORDS, which, Outcome.NO_DATA, "there is no record; give a folder that runs were written to")
        for message in side.unreadable:
            yield Check(RECORDS, which, Outcome.NO_DATA, f"unreadable: {message}")
    if all(side.runs for side in loaded.values()) and not any(one.outcome is not Outcome.NO_DATA for one in found):
        yield Check(RECORDS, "cells", Outcome.NO_DATA, "no cell could be compared")


def _unread(message: str) -> Check:
    return Check(RECORDS, "items", Outcome.NO_DATA, f"unreadable: {message}")


def _notes(found: Sequence[Verdict], loaded: Mapping[str, Loaded]) -> Iterator[str]:
    decided = [one.numbers for one in found if one.numbers is not None]
    if decided:
        sizes = sorted(one.seen_from / one.margin for one in decided)
        ends = dict.fromkeys(f"{size:.1f}" for size in (sizes[0], sizes[-1]))
        yield (
            f"cells decided, 5 % for all of them together: {len(decided)}; the smallest drop seen in 80 % of cases is "
            f"{' to '.join(ends)} times the margin"
        )
        if any(one.outcome is Outcome.INCONCLUSIVE for one in found):
            yield "inconclusive: a drop of twice the margin could be missed; more seeds, items or --history would tell"
    mixed = sorted({name for one in found for name in one.match.mixed})
    if mixed:
        yield f"mixed environment, baseline and new records differ in: {', '.join(mixed)}"
    for which, side in loaded.items():
        if side.num_unfinished:
            yield f"attempts of {which} without a record yet: {side.num_unfinished}"

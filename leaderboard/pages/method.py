"""A page for each method: its card, its budget curves, how the learning rate moves it, and every run of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from leaderboard import paths, wording
from leaderboard.cards import Card, method_facts, versions
from leaderboard.cells import Row
from leaderboard.columns import Column, headline
from leaderboard.gallery import Figure, stem
from leaderboard.ladder import Reach
from leaderboard.load import Run
from leaderboard.pages.index import places_of
from leaderboard.pages.task import superseded
from leaderboard.rendering import render
from leaderboard.searches import Charged, Rates, asked_of, bills, sensitivity
from leaderboard.sheet import Sheet, validation
from leaderboard.site import Page, Site
from leaderboard.standings import Budgets
from leaderboard.troubles import troubles


class RunLine(NamedTuple):
    """One run in the table of all."""

    run: Run
    asked: str
    column: Column | None
    """The task that it scored first; None where no final run of the section did."""
    validation: float | None
    score: float | None


class LoneRate(NamedTuple):
    """A learning rate that was used without another beside it."""

    rate: float
    tasks: tuple[str, ...]
    asked: tuple[str, ...]
    """Of the method there; empty where it is the only one of the kind."""


class Reached(NamedTuple):
    """One curve on one task."""

    column: Column
    budgets: Budgets


@dataclass(frozen=True, eq=False)
class Part:
    """A method in one section."""

    sheet: Sheet
    rows: tuple[Row, ...]
    trials: tuple[Run, ...]
    figures: tuple[Figure, ...]

    @cached_property
    def finals(self) -> tuple[Run, ...]:
        """The runs of its rows, each once, by run id."""
        found = {run.run_id: run for row in self.rows for cell in row.cells.values() for run in cell.runs}
        return tuple(found[run_id] for run_id in sorted(found))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The tasks that it was asked to be scored on."""
        asked = {task for row in self.rows for task, cell in row.cells.items() if cell.runs}
        return tuple(column for column in self.sheet.section.columns if column.task in asked)

    @property
    def has_curves(self) -> bool:
        """Whether a task has several budgets or curves; what trains one size everywhere needs no table of them."""
        several = len(self.reached) > len({one.column for one in self.reached})
        return several or any(one.budgets.num_budgets > 1 for one in self.reached)

    @cached_property
    def reached(self) -> tuple[Reached, ...]:
        """Its curves, task by task."""
        method = self.rows[0].method if self.rows else ""
        return tuple(
            Reached(column, budgets)
            for column in self.columns
            for budgets in self.sheet.studies[column.task].budgets.get(method, ())
        )

    @cached_property
    def rates(self) -> tuple[Rates, ...]:
        """The learning rates of each task and budget."""
        found: list[Rates] = []
        for column in self.columns:
            own = [[run for run in runs if _trained(run, column)] for runs in (self.finals, self.trials)]
            found += sensitivity(own[0], own[1], column)
        return tuple(found)

    @property
    def bills(self) -> tuple[Charged, ...]:
        """What its searches cost."""
        return bills(self.finals)

    @property
    def lines(self) -> tuple[RunLine, ...]:
        """Every run, trials first."""
        return tuple(sorted(map(self._line, (*self.finals, *self.trials)), key=_place))

    def _line(self, run: Run) -> RunLine:
        column = self.sheet.columns.get(run.record.spec.score[0])
        score = headline(run, column) if column else None
        return RunLine(run, asked_of(run), column, validation(run, column) if column else None, score)


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each method."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in site.runs:
        runs[run.record.spec.method].append(run)
    parts = parts_of(site)
    places = places_of(site)
    known = frozenset(run.run_id for run in site.runs)
    for method in site.methods:
        found = versions((run.record.method_card, run) for run in runs[method])
        card: Card = found[0].card if found else {}
        text = render(
            "method.html",
            paths.method(method),
            site=site,
            method=method,
            card=card,
            facts=method_facts(card),
            superseded=superseded(found),
            parts=parts.get(method, []),
            places=places,
            troubles=troubles(runs[method]),
            known=known,
            reach_text=reach_text,
            lone_rates=lone_rates,
            nearness=nearness,
        )
        yield Page(paths.method(method), text)


def parts_of(site: Site) -> Mapping[str, list[Part]]:
    """Return the sections of each method."""
    found: dict[str, list[Part]] = defaultdict(list)
    for sheet in site.sheets:
        rows: dict[str, list[Row]] = defaultdict(list)
        trials: dict[str, list[Run]] = defaultdict(list)
        for row in sheet.section.rows:
            rows[row.method].append(row)
        for run in sheet.section.trials:
            trials[run.record.spec.method].append(run)
        for method in sorted({*rows, *trials}):
            prefix = f"{paths.slug(method)}--{stem(sheet.section)}-"
            figures = tuple(one for one in site.gallery.method_figures(method) if one.name.startswith(prefix))
            found[method].append(Part(sheet, tuple(rows[method]), tuple(trials[method]), figures))
    return found


def reach_text(reach: Reach, largest: float) -> str:
    """Return how many parameters a curve needs to come near full fine-tuning, in words.

    Args:
        reach: what was found.
        largest: the largest budget of the curve, past which nothing is known.
    """
    if reach.size is None:
        return reach.note
    text = wording.count(reach.size)
    if reach.note != "reached":
        text = f"{text} or fewer"
    if reach.chance is None:
        return text
    ends = [f"over {wording.count(largest)}" if end is None else wording.count(end) for end in (reach.low, reach.high)]
    return f"{text} [{f',{wording.NO_BREAK}'.join(ends)}]"


def lone_rates(rates: Sequence[Rates]) -> list[LoneRate]:
    """Return the learning rates that were used without another beside them, for what and where."""
    found: dict[float, tuple[set[str], set[str]]] = {}
    for one in rates:
        if len(one.rates) == 1:
            tasks, asked = found.setdefault(one.rates[0].rate, (set(), set()))
            tasks.add(one.task)
            asked.add(one.asked)
    is_only = len(found) == 1 and all(len(one.rates) == 1 for one in rates)
    return [
        LoneRate(rate, tuple(sorted(tasks)), () if is_only else tuple(sorted(asked)))
        for rate, (tasks, asked) in sorted(found.items())
    ]


def nearness(part: Part) -> list[tuple[float, list[str], list[str]]]:
    """Return for each share of full fine-tuning's gain the tasks on which one budget reaches it, and the others."""
    found: dict[float, tuple[list[str], list[str]]] = {}
    for one in part.reached:
        for reach in one.budgets.reaches:
            if reach.target is not None:
                found.setdefault(reach.share, ([], []))[reach.size is None].append(one.column.task)
    return [(share, *found[share]) for share in sorted(found)]


def _trained(run: Run, column: Column) -> bool:
    return run.record.status == "ok" and run.record.spec.train == column.task


def _place(line: RunLine) -> tuple[str, str, float, str, int, str]:
    spec = line.run.record.spec
    return spec.train, line.asked, spec.training.lr, spec.purpose, spec.seed, line.run.run_id

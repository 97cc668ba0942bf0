"""A page for each run: what was asked, what came out, what it cost, and where it went wrong.

A board may have ten thousand of them, so a page asks for nothing that is not at hand: items were read once per cell,
and lists of facts that most runs share (environment, method as run) are written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from leaderboard import asked, factsheet, paths, wording
from leaderboard.cells import Cell
from leaderboard.columns import Measure
from leaderboard.curve import Plot, plot
from leaderboard.load import Run
from leaderboard.metricnames import told_apart
from leaderboard.pages import index
from leaderboard.rendering import flat, render
from leaderboard.rivals import Place, against, places_of, siblings
from leaderboard.site import Page, Site

EACH_ALONE = True
"""A page hangs on its own run and the cells around it: see ``leaderboard.site.makers``."""
NUM_LISTED = 20
"""Items that a page names per side; their number is always told in full."""


class Shown(NamedTuple):
    """One metric of one scored task as the page shows it."""

    task: str
    split: str
    metric: str
    headline: bool
    value: str
    mean: str
    """Over the seeds of its row, with the interval; empty for all but the headline."""
    num_items: int
    truncated: int
    state: str


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each run."""
    places, shown = places_of(site.sections), index.places_of(site)
    for run in site.runs:
        here = places.get(run.run_id, ())
        boards = {shown[place.section]: place.section.ground.suite or "no suite" for place in here}
        yield Page(paths.run(run.run_id), partial(page_of, site, run, here, boards))


def page_of(site: Site, run: Run, places: Sequence[Place], boards: Mapping[str, str]) -> str:
    """Return the text of a run's page; ``boards`` are the pages on which it stands, and their suites."""
    first = places[0] if places else None
    spec_facts = asked.whole(run.record.spec)
    return render(
        "run.html",
        paths.run(run.run_id),
        run=run,
        stale=site.stale.get(run.run_id),
        boards=boards,
        siblings=siblings(run, first) if first else [run],
        scores=scores(run, first.row.cells if first else {}),
        against=against(run, first) if first else [],
        num_listed=NUM_LISTED,
        plots=plots(run),
        changes=asked.changes(spec_facts),
        spec_facts=spec_facts,
        commands=asked.commands(run),
        phases=factsheet.phases(run.record.cost.seconds),
        cost=factsheet.cost(run.record),
        config=tuple(flat(run.record.method_config)),
        sheets=factsheet.sheets(run.record),
        facts=factsheet.markup,
        p_text=p_text,
    )


def scores(run: Run, cells: Mapping[str, Cell]) -> list[Shown]:
    """Return the lines of the table of scores."""
    found = []
    for score in run.record.scores:
        measure = headline(run, score.task)[1]
        mean = _mean(cells[score.task], measure) if score.task in cells else ""
        for metric, value in score.metrics.items():
            first = metric == score.headline
            text = "undefined" if value is None else wording.number(value, measure)
            unit = wording.NO_BREAK + "%" if value is not None and measure.unit == "%" else ""
            state = run.record.digests.data_state.get(score.task, "unknown")
            facts_of_task = (score.num_items, score.truncated, state)
            found.append(
                Shown(score.task, score.split, metric, first, text + unit, mean if first else "", *facts_of_task)
            )
    return found


def _mean(cell: Cell, measure: Measure) -> str:
    interval = cell.interval
    if interval is None:
        return ""
    around = wording.bounds(interval, measure) or f"no interval: {interval.basis}"
    only = ", items only" if interval.num_seeds == 1 and interval.low is not None else ""
    return f"{wording.number(interval.estimate, measure)} {around}, {wording.of_seeds(cell)}{only}"


def headline(run: Run, task: str) -> tuple[str, Measure]:
    """Return the headline metric of a run's task and how to show it."""
    score = run.score(task)
    card = run.record.task_cards.get(task, {}).get("metric")
    unit = str(card.get("unit", "")) if isinstance(card, dict) else ""
    name = score.headline if score else str(card.get("name", "")) if isinstance(card, dict) else ""
    return name, Measure(name, True, unit, None, None)


def p_text(p_value: float | None) -> str:
    """Return a p value as it reads."""
    if p_value is None:
        return "none: items come in groups"
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def plots(run: Run) -> list[tuple[str, Plot]]:
    """Return the validation curves of a run: metrics on one plot, losses on another."""
    epochs = run.record.validation
    if not epochs:
        return []
    names = list(dict.fromkeys(name for epoch in epochs for name in epoch.metrics))
    numbers = [epoch.epoch for epoch in epochs]
    losses = {
        "train loss": [epoch.train_loss for epoch in epochs],
        "validation loss": [epoch.validation_loss for epoch in epochs],
    }
    shown = zip(told_apart(names), names, strict=True)
    curves = {shown_as: [epoch.metrics.get(name) for epoch in epochs] for shown_as, name in shown}
    wanted = {
        "Validation metric": plot(numbers, curves),
        "Loss": plot(numbers, losses),
    }
    return [(title, drawn) for title, drawn in wanted.items() if drawn]

"""A page for each run: what was asked, what came out, what it cost, and where it went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from leaderboard import paths
from leaderboard.columns import Measure
from leaderboard.curve import Plot, plot
from leaderboard.load import Run
from leaderboard.rendering import render
from leaderboard.site import Page, Site

EACH_ALONE = True
"""A page hangs on its own run: see ``leaderboard.site.makers``."""


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each run."""
    for run in site.runs:
        yield Page(paths.run(run.run_id), partial(page_of, site, run))


def page_of(site: Site, run: Run) -> str:
    """Return the text of a run's page."""
    values = {"run": run, "stale": site.stale.get(run.run_id), "plots": plots(run), "headline": headline}
    return render("run.html", paths.run(run.run_id), **values)


def headline(run: Run, task: str) -> tuple[str, Measure]:
    """Return the headline metric of a run's task and how to show it."""
    score = run.score(task)
    facts = run.record.task_cards.get(task, {}).get("metric")
    unit = str(facts.get("unit", "")) if isinstance(facts, dict) else ""
    name = score.headline if score else str(facts.get("name", "")) if isinstance(facts, dict) else ""
    return name, Measure(name, True, unit, None, None)


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
    wanted = {
        "Validation metric": plot(numbers, {name: [epoch.metrics.get(name) for epoch in epochs] for name in names}),
        "Loss": plot(numbers, losses),
    }
    return [(title, drawn) for title, drawn in wanted.items() if drawn]

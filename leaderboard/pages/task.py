"""A page for each task: its card, and every entry that was scored on it, section by section."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from leaderboard import paths
from leaderboard.cards import Version, changed, metric_facts, task_facts, versions
from leaderboard.columns import Measure
from leaderboard.load import Run
from leaderboard.pages.index import places_of, state_marks, statuses, undefined_seeds
from leaderboard.rendering import render
from leaderboard.sheet import Sheet
from leaderboard.site import Page, Site


class Superseded(NamedTuple):
    """An older card, and what the newest says otherwise."""

    version: Version
    changed: list[str]


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each task."""
    runs = runs_of_tasks(site)
    places = places_of(site)
    for task in site.tasks:
        found = versions((run.record.task_cards.get(task, {}), run) for run in runs[task])
        card = found[0].card if found else {}
        text = render(
            "task.html",
            paths.task(task),
            site=site,
            task=task,
            card=card,
            measure=measure_of(card),
            facts=task_facts(card),
            superseded=[Superseded(old, changed(old.card, card)) for old in found[1:]],
            states=states(task, runs[task]),
            notes=notes(runs[task]),
            sheets=[sheet for sheet in site.sheets if task in sheet.columns],
            places=places,
            statuses=statuses,
            state_marks=state_marks,
            undefined_seeds=undefined_seeds,
            num_entries=num_entries,
        )
        yield Page(paths.task(task), text)


def runs_of_tasks(site: Site) -> dict[str, list[Run]]:
    """Return the runs that trained on or scored each task, by run id."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in site.runs:
        for task in sorted({run.record.spec.train, *run.record.spec.score}):
            found[task].append(run)
    return found


def measure_of(card: dict[str, object] | object) -> Measure:
    """Return the headline metric of a card."""
    facts = metric_facts(card) if isinstance(card, dict) else {}
    chance, ceiling = (
        float(value) if isinstance(value := facts.get(name), int | float) else None for name in ("chance", "ceiling")
    )
    higher = bool(facts.get("higher_is_better", True))
    return Measure(str(facts.get("name", "score")), higher, str(facts.get("unit", "")), chance, ceiling)


def states(task: str, runs: list[Run]) -> list[tuple[str, int]]:
    """Count the runs with a result by what was known of the task's data."""
    good = [run for run in runs if run.record.status == "ok" and task in run.record.digests.data_state]
    return sorted(Counter(run.record.digests.data_state[task] for run in good).items())


def notes(runs: list[Run]) -> list[tuple[str, int]]:
    """Count the runs by each of their notes, the most frequent first."""
    found = Counter(note for run in runs for note in run.record.notes)
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


def num_entries(sheet: Sheet, task: str) -> int:
    """Return how many entries of a section were asked to be scored on a task."""
    return sum(bool(row.cells[task].runs) for row in sheet.section.rows)

"""A page for each task: its card, and every entry that was scored on it, section by section and budget by budget."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from leaderboard import paths, wording
from leaderboard.cards import Card, Version, changed, task_facts, versions
from leaderboard.columns import Measure, column_of
from leaderboard.grid import heading
from leaderboard.load import Run
from leaderboard.pages.index import places_of, state_marks
from leaderboard.rendering import render
from leaderboard.sheet import Line, Sheet
from leaderboard.site import Page, Site
from leaderboard.standings import Group
from leaderboard.surroundings import percent
from leaderboard.troubles import troubles


class Superseded(NamedTuple):
    """Another card, and what the newest says otherwise."""

    version: Version
    changed: list[str]
    same_number: bool
    """Whether the newest has the same version number, so that the two differ in words alone."""


def superseded(found: Sequence[Version]) -> list[Superseded]:
    """Return all but the newest of some versions, which is the first."""
    return [Superseded(old, changed(old.card, found[0].card), old.number == found[0].number) for old in found[1:]]


def pages(site: Site) -> Iterator[Page]:
    """Yield a page for each task."""
    runs = runs_of_tasks(site)
    places = places_of(site)
    for task in site.tasks:
        found = versions((run.record.task_cards.get(task, {}), run) for run in runs[task])
        card: Card = found[0].card if found else {}
        text = render(
            "task.html",
            paths.task(task),
            site=site,
            task=task,
            card=card,
            measure=column_of(task, runs[task]).measure,
            facts=task_facts(card),
            superseded=superseded(found),
            states=states(task, runs[task]),
            notes=notes(runs[task]),
            sheets=[sheet for sheet in site.sheets if task in sheet.columns],
            places=places,
            state_marks=state_marks,
            num_entries=num_entries,
            heading=heading,
            extent=extent,
            is_ranked=is_ranked,
            lines=lines,
            words_of=words_of,
            percent=percent,
            troubles=troubles,
        )
        yield Page(paths.task(task), text)


def runs_of_tasks(site: Site) -> dict[str, list[Run]]:
    """Return the runs that trained on or scored each task, by run id."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in site.runs:
        for task in sorted({run.record.spec.train, *run.record.spec.score}):
            found[task].append(run)
    return found


def states(task: str, runs: Sequence[Run]) -> list[tuple[str, int]]:
    """Count the runs with a result by what was known of the task's data."""
    good = [run for run in runs if run.record.status == "ok" and task in run.record.digests.data_state]
    return sorted(Counter(run.record.digests.data_state[task] for run in good).items())


def notes(runs: Iterable[Run]) -> list[tuple[str, int]]:
    """Count the runs by each of their notes, the most frequent first."""
    found = Counter(note for run in runs for note in run.record.notes)
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))


def num_entries(sheet: Sheet, task: str) -> int:
    """Return how many entries of a section were asked to be scored on a task."""
    return sum(len(group.entries) for group in sheet.studies[task].groups)


def is_ranked(sheet: Sheet, task: str) -> bool:
    """Return whether anything is compared on a task; else columns of ranks would be empty."""
    entries = (entry for group in sheet.studies[task].groups for entry in group.entries)
    return any(entry.place or entry.frontier_chance is not None for entry in entries)


class Extent(NamedTuple):
    """How many items a section's entries were scored on, and how many of them were cut, where all are equal."""

    num_items: int | None
    cut: int | None


def extent(sheet: Sheet, task: str) -> Extent:
    """Return what is equal for all entries, which then need no columns for it."""
    every = [line for group in sheet.studies[task].groups for line in lines(sheet, task, group)]
    found = ({value for line in every for value in values(line)} for values in (_items, _cut))
    return Extent(*(one.pop() if len(one) == 1 else None for one in found))


def _items(line: Line) -> tuple[int, ...]:
    return line.num_items


def _cut(line: Line) -> tuple[int, ...]:
    return line.cut


def lines(sheet: Sheet, task: str, group: Group) -> Iterator[Line]:
    """Yield the lines of a group."""
    return (sheet.line(entry, task) for entry in group.entries)


def words_of(group: Group, measure: Measure) -> str:
    """Return in words who stands where among the entries of one budget; nothing where there is no other."""
    if len(group.entries) == 1 or len(group.family.slices) > 1:
        return ""
    ranking = group.ranking
    if ranking is None:
        return "Not compared: fewer than two entries can be."
    others = [place for place in ranking.places if place.name != ranking.best]
    below = [place.name for place in others if place.below_best]
    beside = [place.name for place in others if not place.below_best]
    said = []
    if beside:
        said.append(f"{ranking.best} has the best mean, and is not told apart from {_some(beside)}")
    if below:
        said.append(f"{_some(below)} {'is' if len(below) == 1 else 'are'} worse than {ranking.best} beyond chance")
    if ranking.left_out:
        said.append(f"left out: {_some(list(ranking.left_out))}")
    if ranking.detectable is not None:
        unit = " points" if measure.unit == "%" else ""
        least = f"{wording.number(ranking.detectable, measure)}{unit}"
        whose = "" if len(others) == 1 else " for the median entry"
        said.append(f"a true gap of {least} to the best would be found{whose} in 80{wording.NO_BREAK}% of repetitions")
    return "; ".join(said) + "."


def _some(names: Sequence[str]) -> str:
    return wording.listing(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} others"

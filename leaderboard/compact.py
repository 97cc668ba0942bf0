"""The cells of the large table, in as few bytes as they can be: a board of 500 entries on 30 tasks has 15,000.

A score is ``<td><a>mean</a> <b>letters</b> <i>interval</i> <u>ranks</u> <small>chance</small> <em>mark</em>``;
what is not known is left out, but a number always has an interval or says that it has none. End tags of cells may be
left out in HTML, and a short attribute needs no quotes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from markupsafe import Markup, escape

from leaderboard.cells import Cell, obstacle
from leaderboard.columns import Measure
from leaderboard.ranking import Place
from leaderboard.statistics import Interval
from leaderboard.wording import number

EN_DASH = "–"
LEAST_CHANCE = 0.005
"""A smaller chance of being the best is not worth its bytes."""
SHORT = {"all items agree, so no spread is seen": "no spread"}
"""Reasons that are too long for a narrow column."""
WORDS = {"not_applicable": "n/a", "out_of_memory": "memory", "timed_out": "time"}
"""Statuses that are too long for a narrow column."""


def score_cell(
    cell: Cell, measure: Measure, place: Place | None, link: str, said: Collection[str] = frozenset()
) -> Markup:
    """Return the table cell of a score.

    Args:
        cell: what is shown.
        measure: how numbers read.
        place: where it stands at its budget, if it is ranked.
        link: leads to its row on the task's page, and holds no character that would need quotes; empty in a table of
            thousands of cells, where the script adds the links of a row when a reader comes near it.
        said: marks that the row or the page has said already.
    """
    if not cell.runs:
        return Markup('<td class=n title="not run">—')
    parts = [_number(cell, measure, link)]
    if place is not None and place.letters:
        parts.append(f"<b>{letters(place.letters)}</b>")
    if cell.interval is not None:
        parts.append(_around(cell.interval, measure))
    if place is not None:
        parts.append(f"<u>{ranks(place)}</u>")
        parts += [f"<small>{chance(place.best_chance)}</small>"] if place.best_chance >= LEAST_CHANCE else []
    carried = marks(cell)
    left = [(mark, reason) for mark, reason in carried if mark not in said]
    parts += [f'<em title="{escape(reason)}">{escape(mark)}</em>' for mark, reason in left]
    grey = bool(left) or not carried
    return Markup(f"<td{_look(cell, place, grey)}>{' '.join(parts)}")


def _look(cell: Cell, place: Place | None, grey: bool) -> str:
    """Return the class that shades what is not told apart from the best, and greys what is not compared."""
    if place is not None:
        return "" if place.below_best else " class=t"
    return " class=x" if grey and cell.interval is not None and not cell.comparable else ""


def _around(interval: Interval, measure: Measure) -> str:
    if interval.low is None:
        return f'<i title="{escape(interval.basis)}">no interval</i>'
    return f"<i>{span(interval, measure)}</i>"


def _number(cell: Cell, measure: Measure, link: str) -> str:
    to = f" href={link}" if link else ""
    if cell.interval is not None:
        return f"<a{to}>{number(cell.interval.estimate, measure)}</a>"
    if cell.good:
        return f"<a{to} class=n>undefined</a>"
    statuses = sorted({run.record.status for run in cell.bad})
    return f"<a{to} class=n>{', '.join(WORDS.get(status, status) for status in statuses)}</a>"


def marks(cell: Cell) -> list[tuple[str, str]]:
    """Return a cell's short marks, each with its reason."""
    found = [(mark.split(":")[0], mark) for mark in cell.marks if cell.good]
    why = obstacle(cell)
    if cell.interval is not None and why and why not in {mark for mark, _ in found}:
        if why == "one seed" and cell.interval.low is not None:
            found.append(("items only", "one seed, so that the interval does not know how seeds differ; not ranked"))
        else:
            found.append((SHORT.get(why, why), f"{why}: not ranked"))
    if cell.good and cell.bad:
        found += [(WORDS.get(status, status), f"seed {seeds}") for status, seeds in _lost(cell)]
    return found


def shared(cells: Iterable[Cell]) -> dict[str, str]:
    """Return the marks, with their reasons, that all of at least two numbers carry: worth saying once for all."""
    found = [dict(marks(cell)) for cell in cells if cell.interval is not None]
    if len(found) < 2:
        return {}
    return {mark: reason for mark, reason in found[0].items() if all(other.get(mark) == reason for other in found)}


def _lost(cell: Cell) -> list[tuple[str, str]]:
    runs = sorted(cell.bad, key=lambda run: (run.record.status, run.record.spec.seed))
    together = groupby(runs, key=lambda run: str(run.record.status))
    return [(status, ", ".join(str(run.record.spec.seed) for run in part)) for status, part in together]


def span(interval: Interval, measure: Measure) -> str:
    """Return the two ends of an interval."""
    assert interval.low is not None
    assert interval.high is not None
    low, high = number(interval.low, measure), number(interval.high, measure)
    # Beside a minus sign a dash is hard to read.
    between = " to " if "\u2212" in low + high else EN_DASH
    return f"{low}{between}{high}"


def ranks(place: Place) -> str:
    """Return the ranks that an entry may have."""
    return str(place.rank_low) if place.rank_low == place.rank_high else f"{place.rank_low}{EN_DASH}{place.rank_high}"


def chance(share: float) -> str:
    """Return a probability in whole percent; nothing is called certain or impossible."""
    percent = round(100 * share)
    return ">99 %" if percent == 100 else "<1 %" if percent == 0 else f"{percent} %"


def letters(found: Sequence[str]) -> str:
    """Return the letters of an entry's groups, three or more in a row as a span."""
    numbers = [_place_of(one) for one in found]
    runs: list[list[int]] = []
    for at, value in enumerate(numbers):
        if runs and numbers[runs[-1][-1]] == value - 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    joint = " " if any(len(one) > 1 for one in found) else ""
    texts = [
        f"{found[run[0]]}{EN_DASH}{found[run[-1]]}" if len(run) > 2 else joint.join(found[at] for at in run)
        for run in runs
    ]
    return (joint or (" " if any(EN_DASH in text for text in texts) else "")).join(texts)


def _place_of(letter: str) -> int:
    value = 0
    for character in letter:
        value = value * 26 + ord(character) - ord("a") + 1
    return value


def is_empty(cell: Markup) -> bool:
    """Whether a table cell holds no value."""
    return cell.endswith(">—")


def value_cell(text: str, value: float | None = None, note: str = "", look: str = "") -> Markup:
    """Return the table cell of any other number or text.

    Args:
        text: what is read; not escaped yet.
        value: what it sorts by, where that is not the number its text begins with.
        note: a second, quieter line.
        look: a class.
    """
    facts = f" class={look}" if look else ""
    facts += "" if value is None else f" data-value={value:.6g}"
    return Markup(f"<td{facts}>{escape(text)}" + (f" <i>{escape(note)}</i>" if note else ""))

"""The columns that put tasks together: a suite's official average, the normalised gain, and the mean rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from markupsafe import Markup, escape

from leaderboard import wording
from leaderboard.averages import Average, Outcome, averages_of, mean_rank, normalised_gain, suite_average
from leaderboard.cells import Row, Section
from leaderboard.columns import Measure
from leaderboard.compact import span
from leaderboard.families import Family

PERCENT = Measure("average", True, "%", None, None)
"""How averages of scores between 0 and 1 are shown."""
RANK = Measure("rank", False, "", None, None)
FULL, ZEROS = "full", ("base", "head_only")
"""The methods between which a gain is measured; of the second the first that was run."""
Cell = Callable[[Row, Family], Markup]


def official(section: Section) -> Iterator[tuple[Average, Cell]]:
    """Yield the official averages of a section."""
    for one in averages_of(section):
        yield one, partial(_official, one)


def _official(of: Average, row: Row, _: Family) -> Markup:
    return outcome_cell(suite_average(row.cells, of), PERCENT)


def basis(section: Section) -> Average | None:
    """Return whose tasks and weights gain and mean rank use: an official average's, else all tasks alike."""
    known = averages_of(section)
    if known:
        return known[0]
    tasks = tuple((column.task,) for column in section.columns)
    return Average("all", "mean over the tasks of the table", tasks) if len(tasks) > 1 else None


def gains(section: Section, of: Average) -> Cell | None:
    """Return the column of normalised gains, None where full fine-tuning or a zero point was not run."""
    full = _reference(section.rows, (FULL,))
    zero = _reference(section.rows, ZEROS)
    if full is None or zero is None:
        return None
    return lambda row, _: outcome_cell(normalised_gain(row.cells, full.cells, zero.cells, of), PERCENT)


def _reference(rows: Sequence[Row], methods: Sequence[str]) -> Row | None:
    """Return the row of the first of some methods that was run; of several the one with most results."""
    for method in methods:
        found = [row for row in rows if row.method == method and row.good]
        if found:
            return max(found, key=lambda row: len(row.good))
    return None


def ranks(section: Section, of: Average) -> Cell:
    """Return the column of mean ranks, each within its own budget."""
    higher = {column.task: column.measure.higher_is_better for column in section.columns}
    known: dict[int, dict[Row, Outcome]] = {}

    def cell(row: Row, family: Family) -> Markup:
        if id(family) not in known:
            known[id(family)] = _mean_ranks(family, of, higher)
        return outcome_cell(known[id(family)].get(row, Outcome(None, "alone at its budget")), RANK)

    return cell


def _mean_ranks(family: Family, of: Average, higher: dict[str, bool]) -> dict[Row, Outcome]:
    if len(family.slices) > 1 or family.alone:
        return {}
    rows = {f"{number:06d}": row for number, row in enumerate(family.rows)}
    found = mean_rank({name: row.cells for name, row in rows.items()}, of, higher)
    return {rows[name]: outcome for name, outcome in found.items()}


def outcome_cell(found: Outcome, measure: Measure) -> Markup:
    """Return the table cell of an average, or a dash that says on demand why there is none."""
    if found.value is None:
        return Markup(f'<td class=n title="{escape(found.reason)}">—')
    text = f"<td class=m>{_text(found.value.estimate, measure)}"
    if found.value.low is None or found.value.high is None:
        return Markup(f'{text} <i title="{escape(found.value.basis)}">no interval</i>')
    if measure is RANK:
        return Markup(f"{text} <i>{_text(found.value.low, measure)}–{_text(found.value.high, measure)}</i>")
    return Markup(f"{text} <i>{span(found.value, measure)}</i>")


def _text(value: float, measure: Measure) -> str:
    return f"{value:.1f}" if measure is RANK else wording.number(value, measure)

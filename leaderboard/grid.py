"""The large table of a section: its columns, its blocks of one budget each, and every cell's markup."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from markupsafe import Markup

from leaderboard import paths, wording
from leaderboard.averages import Average, average, averages_of
from leaderboard.budgets import Slice
from leaderboard.cells import Row, Section, anchor
from leaderboard.columns import Column, Measure
from leaderboard.compact import score_cell, span, value_cell
from leaderboard.costs import Costs, costs, counted
from leaderboard.families import Family, families
from leaderboard.figures import curves
from leaderboard.marks import Series
from leaderboard.rendering import bytes_text, seconds

PERCENT = Measure("average", True, "%", None, None)
"""How averages of scores between 0 and 1 are shown."""
Part = Literal["Entry", "Averages", "Tasks", "Counts", "Costs"]


class Field(NamedTuple):
    """One column of the table after the method's."""

    key: str
    name: str
    part: Part
    notes: tuple[str, ...] = ()
    """Small lines below the name."""
    title: str = ""
    shown: bool = True
    """Whether it is seen before the reader chooses columns; without a script all are."""
    text: bool = False
    """Whether it holds words, not numbers."""
    lower_first: bool = False
    """Whether the smallest value is the one to look for."""
    marks: tuple[str, ...] = ()
    task: bool = False


class Line(NamedTuple):
    """One row of the table."""

    row: Row
    anchor: str
    series: Series | None
    """Its colour and shape in the charts."""
    cells: tuple[Markup, ...]


class Block(NamedTuple):
    """The rows of one family."""

    key: str
    title: str
    note: str
    detectable: tuple[str, ...]
    """For each column the smallest difference that would be found, or nothing."""
    lines: tuple[Line, ...]


class Grid(NamedTuple):
    """The table."""

    fields: tuple[Field, ...]
    blocks: tuple[Block, ...]

    @property
    def parts(self) -> dict[Part, list[Field]]:
        """The columns that may be chosen, by what they are about."""
        found: dict[Part, list[Field]] = {}
        for field in self.fields:
            found.setdefault(field.part, []).append(field)
        return found


class Maker(NamedTuple):
    """A column and how its cells are made."""

    field: Field
    cell: Callable[[Row, Family], Markup]


def grid(section: Section, root: str) -> Grid:
    """Return the table of a section.

    Args:
        section: what may be compared.
        root: the way from the page to the site's folder.
    """
    names = wording.names(section.rows)
    anchors = {row: anchor(section.ground, names[row]) for row in section.rows}
    series = {
        row: Series(curve.name, number, (), curve.reference)
        for number, curve in enumerate(curves(section.rows))
        for row in curve.rows
    }
    makers = tuple(_makers(section, root, anchors))
    blocks = []
    for number, family in enumerate(families(section, names)):
        lines = tuple(
            Line(row, anchors[row], series.get(row), tuple(maker.cell(row, family) for maker in makers))
            for row in family.rows
        )
        blocks.append(_block(family, number, section, makers, lines))
    return Grid(tuple(maker.field for maker in makers), tuple(blocks))


def _block(family: Family, number: int, section: Section, makers: Sequence[Maker], lines: tuple[Line, ...]) -> Block:
    measures = {column.task: column.measure for column in section.columns}
    detectable = []
    for maker in makers:
        ranking = family.rankings.get(maker.field.key) if maker.field.task else None
        least = ranking.detectable if ranking else None
        detectable.append("" if least is None else wording.number(least, measures[maker.field.key]))
    title, note = heading(family, section)
    return Block(_key(family.slices, number), title, note, tuple(detectable), lines)


def _key(slices: Sequence[Slice], number: int) -> str:
    """Return a name for a block in an address, which stays when other blocks come."""
    first = slices[0]
    if first.kind == "budget" and len(slices) == 1:
        return f"{first.budget:.0f}"
    return first.kind if len(slices) == 1 else f"alone-{number}"


def heading(family: Family, section: Section) -> tuple[str, str]:
    """Return what a family's block is called, and how many entries compete there."""
    entries = wording.plural(len(family.rows), "entry").replace("entrys", "entries")
    first, last = family.slices[0], family.slices[-1]
    if first.kind == "nothing":
        return "Nothing trained but the head", entries
    if first.budget is None:
        return "Unknown number of parameters", entries
    totals = counted(next(iter(section.rows)), lambda counts: counts.total) or tuple(
        total for row in section.rows for total in counted(row, lambda counts: counts.total)
    )
    if len(family.slices) > 1:
        ends = [wording.count(one.budget) for one in (first, last) if one.budget is not None]
        return f"{' to '.join(ends)} parameters", f"{entries}, each alone at its budget"
    of_all = f"{wording.share(first.budget / totals[0])} of the backbone, " if totals else ""
    return f"{wording.count(first.budget)} parameters", of_all + entries


def _makers(section: Section, root: str, anchors: Mapping[Row, str]) -> Iterator[Maker]:
    yield from _entry_makers(section)
    for one in averages_of(section):
        yield _average_maker(one)
    for column in section.columns:
        yield _score_maker(column, root + paths.task(column.task), anchors)
    yield from _count_makers(section)
    yield from _cost_makers(section)


def _entry_makers(section: Section) -> Iterator[Maker]:
    budget = Field("budget", "Asked", "Entry", ("budget",), "the budget that was asked for")
    yield Maker(budget, lambda row, _: value_cell(row.budget or "—", row.size if row.budget else None))
    trained = Field("trained", "Trained", "Entry", ("parameters",), "scalars that were trained outside the head")
    yield Maker(trained, lambda row, _: value_cell(wording.counts(row.trained), row.size, _share_of(row)))
    if len({row.targets for row in section.rows} - {"none"}) > 1:
        targets = Field("targets", "Targets", "Entry", title="which tensors the method may touch", text=True)
        yield Maker(targets, lambda row, _: value_cell(_targets(row), look="w"))


def _share_of(row: Row) -> str:
    totals = counted(row, lambda counts: counts.total)
    return wording.share(row.size / totals[0]) if row.size and totals and totals[0] else ""


def _targets(row: Row) -> str:
    return "—" if row.targets == "none" else row.targets.replace("_", " ")


def _average_maker(of: Average) -> Maker:
    notes = (f"of {len(of.weights)} tasks", "x 100")

    def cell(row: Row, _: Family) -> Markup:
        found = average(row.cells, of)
        if found is None:
            return Markup('<td class=n title="a task of it has no number">—')
        interval = span(found, PERCENT) if found.low is not None else found.basis
        return value_cell(wording.number(found.estimate, PERCENT), note=interval, look="m")

    return Maker(Field(f"average-{of.name}", f"{of.name} average", "Averages", notes, of.title), cell)


def _score_maker(column: Column, place: str, anchors: Mapping[Row, str]) -> Maker:
    measure = column.measure
    notes = [wording.axis(measure)]
    if column.items:
        notes.append(f"n = {wording.counts(column.items)}")
    if measure.chance is not None:
        notes.append(f"chance {wording.number(measure.chance, measure)}")
    states = tuple(f"{state} data" for state in column.states) if len(column.states) == 1 else ()
    field = Field(
        column.task, column.task, "Tasks", tuple(notes), column.title,
        lower_first=not measure.higher_is_better, marks=states, task=True,
    )  # fmt: skip

    def cell(row: Row, family: Family) -> Markup:
        return score_cell(row.cells[column.task], measure, family.place(row, column.task), f"{place}#{anchors[row]}")

    return Maker(field, cell)


def _count_makers(section: Section) -> Iterator[Maker]:
    counts = (
        ("head", "Head", "scalars that the loader had to initialise newly for the task; charged to no method"),
        ("total", "Backbone", "N: scalars of the backbone without head"),
        ("stored_bits", "Stored", "bits that the trained part takes, mask indices counted"),
        ("extra_at_inference", "Extra", "scalars left beside the backbone's own after merging"),
    )
    units = {"stored_bits": "bits", "extra_at_inference": "at inference"}
    for name, title, says in counts:
        found = {row: counted(row, lambda one, name=name: int(getattr(one, name))) for row in section.rows}
        if any(found.values()):
            field = Field(name, title, "Counts", (units.get(name, "parameters"),), says, shown=False, lower_first=True)
            yield Maker(field, lambda row, _, found=found: value_cell(wording.counts(found[row])))


def _cost_makers(section: Section) -> Iterator[Maker]:
    known = {row: costs(row) for row in section.rows}
    unlike = (f"not comparable: runs differ in {', '.join(section.mixed)}",) if section.mixed else ()
    most = max((one.num_tasks for one in known.values()), default=0)
    texts: tuple[tuple[Field, Callable[[Costs], float | None], Callable[[float], str]], ...] = (
        (Field("sparsity", "Zeros", "Counts", ("in targets",), "share of exact zeros in the targeted weights"),
         lambda one: one.sparsity, wording.share),
        (Field("time", "Train time", "Costs", ("per run",), "seconds of training, mean over seeds and tasks"),
         lambda one: one.fit_seconds, seconds),
        (Field("peak", "Peak memory", "Costs", ("per run",), "on a CPU that of the whole worker process"),
         lambda one: one.peak_bytes, _bytes),
        (Field("part", "Trained part", "Costs", ("on disk",), "size of the saved file, without the head"),
         lambda one: one.part_bytes, _bytes),
    )  # fmt: skip
    for field, value, text in texts:
        if any(value(one) is not None for one in known.values()):
            marks = unlike if field.key in {"time", "peak"} else ()
            field = field._replace(marks=marks, lower_first=True)
            yield Maker(field, _cost_cell(known, value, text, most, timed=field.key in {"time", "peak"}))
    if any(one.bill for one in known.values()):
        bill = Field("search", "Search", "Costs", ("trials",), "trials that chose the row's values, and what they took")
        yield Maker(bill._replace(lower_first=True), lambda row, _: _bill_cell(known[row]))


def _cost_cell(
    known: Mapping[Row, Costs],
    value: Callable[[Costs], float | None],
    text: Callable[[float], str],
    most: int,
    timed: bool,
) -> Callable[[Row, Family], Markup]:
    def cell(row: Row, _: Family) -> Markup:
        one = known[row]
        found = value(one)
        if found is None:
            return value_cell("—", look="n")
        notes = ["packed: not comparable"] if timed and one.packed else []
        notes += [f"{one.num_tasks} of {most} tasks"] if one.num_tasks < most else []
        return value_cell(text(found), found, ", ".join(notes))

    return cell


def _bytes(value: float) -> str:
    return bytes_text(round(value))


def _bill_cell(one: Costs) -> Markup:
    if one.bill is None:
        return value_cell("—", look="n")
    return value_cell(f"{one.bill.num_trials:,}", note="" if one.bill.seconds is None else seconds(one.bill.seconds))

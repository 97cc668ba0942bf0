"""The columns of the large table, and how each makes its cells: what was asked, scores, counts and costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal, NamedTuple

from markupsafe import Markup

from harness.record import Counts
from leaderboard import overall, paths, wording
from leaderboard.cells import Row, Section
from leaderboard.columns import Column
from leaderboard.compact import score_cell, value_cell
from leaderboard.costs import Costs, costs, counted
from leaderboard.families import Family
from leaderboard.rendering import bytes_text, milliseconds, seconds

OF_THE_MACHINE = frozenset({"time", "peak", "latency", "merged-latency"})
"""Columns whose numbers hang on what else the machine does."""

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
    page: str = ""
    """Of a task, from the site's folder; empty where the column is of no task."""


class Maker(NamedTuple):
    """A column and how its cells are made."""

    field: Field
    cell: Callable[[Row, Family], Markup]


class Places(NamedTuple):
    """Where the numbers of a row lead, and what was said of them already."""

    root: str
    """The way from the page to the site's folder."""
    anchors: Mapping[Row, str]
    said: Mapping[Row, Mapping[str, str]]
    linked: bool
    """Whether each number is a link by itself."""


def makers_of(section: Section, places: Places) -> Iterator[Maker]:
    """Yield the columns of a section, from what was trained to what it cost."""
    trained = Field("trained", "Trained", "Entry", ("parameters",), "scalars that were trained outside the head")
    yield Maker(trained, lambda row, _: value_cell(wording.counts(row.trained), row.size, _share_of(row)))
    yield from _average_makers(section)
    for column in section.columns:
        yield _score_maker(column, places)
    yield from _entry_makers(section)
    yield from _count_makers(section)
    yield from _cost_makers(section)


def _entry_makers(section: Section) -> Iterator[Maker]:
    budget = Field("budget", "Asked", "Entry", ("budget",), "the budget that was asked for")
    yield Maker(budget, lambda row, _: value_cell(row.budget or "—", row.size if row.budget else None))
    if len({row.targets for row in section.rows} - {"none"}) > 1:
        targets = Field("targets", "Targets", "Entry", title="which tensors the method may touch", text=True)
        yield Maker(targets, lambda row, _: value_cell(_targets(row), look="w"))


def _share_of(row: Row) -> str:
    totals = counted(row, lambda counts: counts.total)
    return wording.share(row.size / totals[0]) if row.size and totals and totals[0] else ""


def _targets(row: Row) -> str:
    return "—" if row.targets == "none" else row.targets.replace("_", " ")


def _average_makers(section: Section) -> Iterator[Maker]:
    for one, cell in overall.official(section):
        notes = (f"of {len(one.weights)} tasks", "x 100")
        yield Maker(Field(f"average-{one.name}", f"{one.name} average", "Averages", notes, one.title), cell)
    of = overall.basis(section)
    if of is None:
        return
    gain = overall.gains(section, of)
    if gain is not None:
        says = "share of full fine-tuning's gain over the frozen backbone, mean over the tasks"
        yield Maker(Field("gain", "Gain", "Averages", ("% of full", f"{len(of.weights)} tasks"), says), gain)
    says = "mean over the tasks of the rank among the entries of the same budget"
    rank = Field("rank", "Mean rank", "Averages", ("at its budget", f"{len(of.weights)} tasks"), says, lower_first=True)
    yield Maker(rank, overall.ranks(section, of))


def _score_maker(column: Column, places: Places) -> Maker:
    measure, page = column.measure, places.root + paths.task(column.task)
    notes = [wording.axis(measure)]
    if column.items:
        notes.append(f"n = {wording.counts(column.items)}")
    if measure.chance is not None:
        notes.append(f"chance {wording.number(measure.chance, measure)}")
    states = tuple(f"{state} data" for state in column.states) if len(column.states) == 1 else ()
    field = Field(
        column.task, column.task, "Tasks", tuple(notes), column.title,
        lower_first=not measure.higher_is_better, marks=states, page=paths.task(column.task),
    )  # fmt: skip

    def cell(row: Row, family: Family) -> Markup:
        place = family.place(row, column.task)
        link = f"{page}#{places.anchors[row]}" if places.linked else ""
        return score_cell(row.cells[column.task], measure, place, link, places.said[row])

    return Maker(field, cell)


def _count_makers(section: Section) -> Iterator[Maker]:
    counts: tuple[tuple[str, str, str, Callable[[Counts], int], str], ...] = (
        (
            "head",
            "Head",
            "parameters",
            lambda one: one.head,
            "scalars that the loader had to initialise newly for the task; charged to no method",
        ),
        ("total", "Backbone", "parameters", lambda one: one.total, "N: scalars of the backbone without head"),
        (
            "stored_bits",
            "Stored",
            "bits",
            lambda one: one.stored_bits,
            "bits that the trained part takes, mask indices counted",
        ),
        (
            "extra",
            "Extra",
            "at inference",
            lambda one: one.extra_at_inference,
            "scalars left beside the backbone's own after merging",
        ),
    )
    for name, title, unit, count, says in counts:
        found = {row: counted(row, count) for row in section.rows}
        field = Field(name, title, "Counts", (unit,), says, shown=False, lower_first=True)
        yield Maker(field, partial(_count_cell, found))


def _count_cell(found: Mapping[Row, tuple[int, ...]], row: Row, _: Family) -> Markup:
    return value_cell(wording.counts(found[row]))


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
        (Field("latency", "Latency", "Costs", ("one row, as trained",),
               "of a forward pass, the method in place"),
         lambda one: one.latency, milliseconds),
        (Field("merged-latency", "Merged latency", "Costs", ("one row",),
               "of a forward pass of the backbone alone, which is what a method costs that leaves nothing beside it"),
         lambda one: one.merged_latency, milliseconds),
        (Field("part", "Trained part", "Costs", ("on disk",), "size of the saved file, without the head"),
         lambda one: one.part_bytes, _bytes),
    )  # fmt: skip
    for field, value, text in texts:
        if any(value(one) is not None for one in known.values()):
            marks = unlike if field.key in OF_THE_MACHINE else ()
            field = field._replace(marks=marks, lower_first=True)
            yield Maker(field, _cost_cell(known, value, text, most, timed=field.key in OF_THE_MACHINE))
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
